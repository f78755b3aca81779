process.on('exit',c=>console.log('exit',c));process.on('uncaughtException',e=>console.log('no',e));
(async()=>{console.log('before');await null;queueMicrotask(()=>console.log('no'));process.nextTick(()=>console.log('no'));process.exit(4)})();
setTimeout(()=>console.log('no'),0);
