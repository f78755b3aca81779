const net=require('net');
const s=net.createServer(c=>{c.resume();s.close(e=>console.log('closed',e));console.log(s.listening);setTimeout(()=>{console.log('still open');c.end();},60);c.on('close',()=>console.log('connection closed'));});
s.on('close',()=>console.log('close event'));
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.resume();c.on('close',()=>console.log('cli close'));});
