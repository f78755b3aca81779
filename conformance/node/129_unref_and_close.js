const net=require('net');
const s=net.createServer(c=>{console.log('connection');c.unref();setImmediate(()=>{console.log('immediate');s.close();});c.on('data',()=>console.log('data'));c.on('end',()=>console.log('end'));});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>c.unref());});
