// by a microtask: in time. By a tick of the same drain: in time as well. By an immediate: too late
process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
const fail=m=>(async()=>{throw new Error(m)})();
const hear=async(name,p)=>{try{await p}catch(e){console.log(name,e.message)}};
const a=fail('a'),b=fail('b'),c=fail('c');
queueMicrotask(()=>queueMicrotask(()=>hear('micro',a)));
queueMicrotask(()=>process.nextTick(()=>hear('tick',b)));
setImmediate(()=>hear('imm',c));
