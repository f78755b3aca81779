const net=require('net');
const s=net.createServer(c=>{c.resume();console.log(c.readableFlowing);c.on('end',()=>{console.log('end',c.bytesRead);});c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').end('abc');});
