const net=require('net');
const s=net.createServer(c=>c.end());
s.listen(0,'127.0.0.1',()=>{const c=net.connect({port:s.address().port,host:'localhost',family:4});console.log('connecting',c.connecting);
 c.on('lookup',(e,ip,f,h)=>console.log('lookup',e,ip,f,h));c.on('connectionAttempt',(ip)=>console.log('attempt',ip));c.on('connect',()=>console.log('connect',c.remoteAddress));c.resume();c.on('close',()=>{console.log('close');s.close();});});
