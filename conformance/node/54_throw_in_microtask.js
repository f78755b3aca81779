process.on('uncaughtException',e=>console.log('caught',e.message));
queueMicrotask(()=>{throw new Error('m1')});
queueMicrotask(()=>console.log('m2'));
process.nextTick(()=>console.log('t'));
