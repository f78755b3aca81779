const {setTimeout:sleep,setImmediate:imm}=require('timers/promises');const a=new AbortController();
(async()=>{try{console.log('waits');await sleep(1000,null,{signal:a.signal});console.log('never');}catch(e){console.log(e.name,e.code,e.message);}
 try{await sleep(1,null,{signal:a.signal});}catch(e){console.log('at once',e.code);}await imm();console.log('immediate');await sleep(30);console.log('slept');})();
setTimeout(()=>{process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro before'));a.abort();Promise.resolve().then(()=>console.log('micro after'));},30);
