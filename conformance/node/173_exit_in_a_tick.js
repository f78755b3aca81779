process.on('exit',c=>console.log('exit',c));
process.nextTick(()=>{process.nextTick(()=>console.log('no'));queueMicrotask(()=>console.log('no'));process.exit(4)});
