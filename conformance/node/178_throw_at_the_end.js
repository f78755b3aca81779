process.on('exit',c=>{console.log('a',c);queueMicrotask(()=>console.log('no'))});process.on('exit',c=>{console.log('b',c);throw new Error('x')});process.on('exit',()=>console.log('no'));
setTimeout(()=>{},1);
