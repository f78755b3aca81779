// all hear the code with which the end began
process.on('exit',c=>{console.log('a',c);process.exitCode=6});process.on('exit',c=>console.log('b',c));
process.on('exit',c=>{console.log('c',c);process.on('exit',()=>console.log('no'))});
setTimeout(()=>process.exit(4),1);
