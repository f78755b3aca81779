setTimeout(()=>{
  queueMicrotask(()=>{console.log('m1');process.nextTick(()=>console.log('t2'));queueMicrotask(()=>console.log('m2'))});
  process.nextTick(()=>{console.log('t1');queueMicrotask(()=>console.log('m3'))});
},1);
setTimeout(()=>console.log('after'),60);
