const net=require('net');process.on('exit',c=>console.log('exit',c));
const s=net.createServer(c=>c.resume()).listen(0,'127.0.0.1',()=>{process.once('SIGTERM',n=>{console.log('got',n);process.nextTick(()=>console.log('tick'));s.close();});process.kill(process.pid,'SIGTERM');});s.on('close',()=>console.log('close'));
