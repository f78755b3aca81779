const{spawn,execFile}=require('child_process');const a=new AbortController();const c=spawn('sleep',['60'],{stdio:'ignore',signal:a.signal,killSignal:'SIGUSR2'});
c.on('error',e=>console.log('error',e.name,e.code,c.killed));c.on('exit',(n,s)=>{console.log('exit',n,s);a.abort();});c.on('close',(n,s)=>{console.log('close',n,s);
const b=AbortSignal.abort();execFile('sleep',['60'],{signal:b},(e,o)=>console.log(e.code,e.cmd,JSON.stringify(o)));});
setImmediate(()=>{console.log('abort');a.abort();console.log('aborted');});
