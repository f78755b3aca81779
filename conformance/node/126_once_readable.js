const net=require('net');
const s=net.createServer(c=>{c.write('hello');setTimeout(()=>c.end('world'),60);c.resume();});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.once('readable',()=>console.log('readable',c.read().length));c.on('end',()=>console.log('end'));c.on('close',()=>{console.log('close');s.close();});
 setTimeout(()=>{c.on('data',d=>console.log('data',String(d)));console.log('flowing',c.readableFlowing);},30);});
