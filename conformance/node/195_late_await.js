// awaited after the rejection was reported
process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
const p=(async()=>{throw new Error('boom')})();
setTimeout(async()=>{
 try{await p;console.log('no')}catch(e){console.log('late',e.message)}
 try{await p;console.log('no')}catch(e){console.log('again',e.message)}
},20);
