const net=require('net');let n=0;
const s=net.createServer(c=>{console.log('connection',++n);c.resume();});s.maxConnections=1;
s.on('drop',d=>{console.log('drop',d.remoteAddress,d.localPort===s.address().port);});
s.listen(0,'127.0.0.1',()=>{const a=net.connect(s.address().port,'127.0.0.1',()=>{console.log('a connected');
 const b=net.connect(s.address().port,'127.0.0.1');b.resume();b.on('end',()=>console.log('b end'));b.on('close',h=>{console.log('b close',h);a.end();s.close(()=>console.log('closed'));});});});
