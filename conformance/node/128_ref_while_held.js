const net=require('net');
const s=net.createServer(c=>{console.log('connection');c.unref();setImmediate(()=>console.log('immediate'));c.on('data',d=>{console.log('data',String(d));setImmediate(()=>{c.ref();s.close();console.log('ref');});});c.on('end',()=>console.log('end'));c.on('close',()=>console.log('close'));});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.end('x');c.unref();});
