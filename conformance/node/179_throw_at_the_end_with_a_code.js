process.exitCode=3;
process.on('exit',c=>{console.log('a',c);throw new Error('x')});process.on('exit',()=>console.log('no'));
