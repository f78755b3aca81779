// the code stays
process.on('exit',c=>console.log('a',c));process.on('exit',c=>{console.log('b',c);throw new Error('x')});process.on('exit',()=>console.log('no'));
setTimeout(()=>process.exit(4),1);
