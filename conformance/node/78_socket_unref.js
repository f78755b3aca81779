const net=require('net');
const s=net.createServer(c=>{c.unref();c.on('data',()=>{});s.unref();});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{console.log('connected');c.unref();c.on('data',()=>{});setTimeout(()=>console.log('timer'),60);});});
process.on('exit',c=>console.log('exit',c));
