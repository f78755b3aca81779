// 'exit' may change the code; what it begins never runs
process.on('exit',c=>{console.log('exit',c);process.exitCode=9;setTimeout(()=>console.log('no'),0)});
setTimeout(()=>{process.nextTick(()=>console.log('no tick'));process.exit(3)},1);
