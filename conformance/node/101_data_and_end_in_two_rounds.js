const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>{console.log('data',String(d));setImmediate(()=>console.log('immediate'));});c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.end('x');});});
