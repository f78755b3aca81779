// a tick that throws leaves the others to the next scope: here that of the timers
process.on('uncaughtException',e=>console.log('caught',e.message));
setImmediate(()=>console.log('imm0'));
setTimeout(()=>console.log('timeout'),0);
process.nextTick(()=>{throw new Error('t1')});
process.nextTick(()=>console.log('t2'));
Promise.resolve().then(()=>console.log('m'));
setImmediate(()=>console.log('imm'));
const t=Date.now();while(Date.now()-t<30);
