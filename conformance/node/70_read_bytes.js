const net=require('net');
const s=net.createServer(c=>{c.on('readable',()=>{let d;while((d=c.read(4))!==null)console.log('read',String(d));});
 c.on('end',()=>{console.log('end',c.readableEnded);s.close();});});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').end('abcdefghij');});
