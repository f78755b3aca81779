const net=require('net');
const s=net.createServer(c=>{c.resume();c.setTimeout(30,()=>console.log('never'));setTimeout(()=>console.log('later'),90);c.setTimeout(0);c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');setTimeout(()=>c.end(),120);});
