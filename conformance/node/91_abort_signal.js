process.on('uncaughtException',e=>console.log('caught',e.message));
const a=new AbortController();const s=a.signal;s.addEventListener('abort',()=>{console.log('1',s.aborted,s.reason.name,s.reason.message);throw new Error('in listener');});const two=()=>console.log('two');s.addEventListener('abort',two);s.addEventListener('abort',()=>{console.log('3');});
const any=AbortSignal.any([new AbortController().signal,s]);any.addEventListener('abort',()=>console.log('any',any.reason===s.reason));
process.nextTick(()=>console.log('tick'));s.removeEventListener('abort',two);a.abort();a.abort(new Error('again'));console.log('aborted',s.aborted);
console.log(AbortSignal.abort().aborted);try{s.throwIfAborted()}catch(e){console.log('throws',e.name)}
const t=AbortSignal.timeout(30);t.addEventListener('abort',()=>console.log('timeout',t.reason.name));setTimeout(()=>console.log('end'),90);
