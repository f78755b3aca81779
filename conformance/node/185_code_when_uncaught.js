process.on('exit',c=>{console.log('exit',c);process.exitCode=9});process.on('exit',c=>console.log('b',c));
process.exitCode=3;setTimeout(()=>{throw new Error('y')},1);
