const net=require('net');
const s=net.createServer(c=>{c.resume();c.on('data',()=>{c.end();c.on('finish',()=>console.log('finish in poll'));setImmediate(()=>console.log('immediate'));});c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('x');c.resume();});
 const d=net.connect(s.address().port,'127.0.0.1');d.on('error',()=>{});d.resume();d.on('connect',()=>setImmediate(()=>{d.end();d.on('finish',()=>console.log('finish in turn'));setImmediate(()=>console.log('next immediate'));}));});
