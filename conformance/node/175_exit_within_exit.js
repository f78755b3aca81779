process.on('exit',c=>console.log('a',c));process.on('exit',c=>{console.log('b',c);process.exit(5)});process.on('exit',()=>console.log('no'));
setTimeout(()=>process.exit(4),1);
