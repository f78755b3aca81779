const net=require('net');
const s=net.createServer(c=>{c.on('readable',()=>{let d;console.log('readable',c.readableLength);while((d=c.read())!==null)console.log('read',String(d));});
 c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('first');setTimeout(()=>c.end('second'),60);});});
