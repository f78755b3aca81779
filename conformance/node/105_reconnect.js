const net=require('net');let n=0;
const s=net.createServer(c=>c.end('hello '+(++n)));
s.listen(0,'127.0.0.1',()=>{const c=new net.Socket();c.on('data',d=>console.log(String(d)));c.on('end',()=>console.log('end'));c.on('connect',()=>console.log('connect',c.destroyed,c.readyState));c.connect(s.address().port,'127.0.0.1');c.once('close',()=>{console.log('close',c.destroyed);c.once('close',()=>{console.log('close again');s.close();});c.connect(s.address().port,'127.0.0.1');});});
