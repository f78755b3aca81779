process.on('exit',c=>console.log('exit',c));
queueMicrotask(()=>{queueMicrotask(()=>console.log('no'));process.exit(4)});
