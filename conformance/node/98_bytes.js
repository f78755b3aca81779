const net=require('net');
const s=net.createServer(c=>{c.on('data',()=>{});c.on('end',()=>c.end('12345'));c.on('close',()=>{console.log('srv',c.bytesRead,c.bytesWritten);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');console.log(c.bytesWritten);c.write('abc');console.log(c.bytesWritten,c.bytesRead);c.end('def');console.log(c.bytesWritten);c.resume();c.on('close',()=>console.log('cli',c.bytesRead,c.bytesWritten));});
