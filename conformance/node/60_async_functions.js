process.on('uncaughtException',(e,o)=>console.log('caught',e.message,o));
Promise.resolve().then(async()=>{
  console.log('a1');
  process.nextTick(()=>console.log('tick'));
  await null;
  console.log('a2');
  throw new Error('rejected');
});
process.nextTick(()=>console.log('T'));
setImmediate(()=>console.log('imm'));
