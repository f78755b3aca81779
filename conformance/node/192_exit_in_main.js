process.on('exit',c=>console.log('exit',c));
setTimeout(()=>console.log('no'),0);setImmediate(()=>console.log('no'));process.nextTick(()=>console.log('no'));queueMicrotask(()=>console.log('no'));
process.exitCode=2;process.exit(4);
