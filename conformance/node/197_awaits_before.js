// several wait before it settles; one rejects with it in turn
process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
const p=(async()=>{await require('timers/promises').setTimeout(5);throw new Error('boom')})();
const hear=async name=>{try{await p}catch(e){console.log(name,e.message)}};
hear('a');hear('b');(async()=>{console.log('c');await p;console.log('no')})();
setTimeout(()=>hear('late'),50);
