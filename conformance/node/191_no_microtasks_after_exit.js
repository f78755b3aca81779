process.on('exit',c=>{console.log('a',c);queueMicrotask(()=>console.log('no'))});
setImmediate(()=>{process.exit(2)});setImmediate(()=>console.log('no'));
