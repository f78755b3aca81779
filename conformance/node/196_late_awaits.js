// by several, in the order in which they await it, each in a microtask of its own
process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
const p=(async()=>{await null;throw new Error('boom')})();
const hear=async name=>{try{await p}catch(e){console.log(name,e.message)}console.log(name,'done')};
setImmediate(()=>{hear('a');hear('b');queueMicrotask(()=>console.log('micro'));process.nextTick(()=>console.log('tick'))});
setTimeout(()=>hear('c'),150);
