process.on('exit',c=>console.log('exit',c));process.on('beforeExit',c=>{console.log('before',c);process.exitCode=7});
process.exitCode=2;setTimeout(()=>{process.exitCode=5},1);
