// the rest of a list runs before what a tick's throw left behind
process.on('uncaughtException',e=>console.log('caught',e.message));
setTimeout(()=>{
  setImmediate(()=>console.log('imm'));
  setTimeout(()=>console.log('t0'),30);
  process.nextTick(()=>{throw new Error('a')});
  process.nextTick(()=>console.log('b'));
  queueMicrotask(()=>console.log('m'));
},1);
setTimeout(()=>console.log('same list'),1);
const t=Date.now();while(Date.now()-t<30);
