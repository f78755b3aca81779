const net=require('net');const c=net.connect(80,'no such name');
c.on('lookup',(e,ip,f,h)=>console.log('lookup',e&&e.code,ip,f,h));c.on('error',e=>console.log(e.code,e.syscall,e.message));c.on('close',h=>console.log('close',h));
const s=net.createServer();s.on('error',e=>console.log('server',e.code,e.message));setTimeout(()=>s.listen(0,'no such name'),150);
