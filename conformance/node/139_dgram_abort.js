const dgram=require('dgram');
const a=new AbortController();
const s=dgram.createSocket({type:'udp4',signal:a.signal});
s.on('close',()=>console.log('close'));
s.bind(0,'127.0.0.1',()=>{console.log('listening');a.abort();console.log('aborted');try{s.address();}catch(e){console.log(e.code);}process.nextTick(()=>console.log('tick'));});
const t=dgram.createSocket({type:'udp4',signal:AbortSignal.abort()});
t.on('close',()=>console.log('t close'));
try{t.bind(0);}catch(e){console.log(e.code);}
