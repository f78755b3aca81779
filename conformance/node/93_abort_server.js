const net=require('net');const a=new AbortController();
const s=net.createServer();s.listen({port:0,host:'127.0.0.1',signal:a.signal},()=>{console.log('listening');a.abort();console.log('aborted',s.listening);process.nextTick(()=>console.log('tick'));});s.on('close',()=>console.log('close'));
