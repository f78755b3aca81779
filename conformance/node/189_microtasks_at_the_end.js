process.on('exit',c=>{console.log('a',c);process.nextTick(()=>console.log('no'));setImmediate(()=>console.log('no'));
 queueMicrotask(()=>{console.log('m1');queueMicrotask(()=>{console.log('m3');process.exit(7)});queueMicrotask(()=>console.log('no'))});queueMicrotask(()=>console.log('m2'))});
process.on('exit',c=>console.log('b',c));
