const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>{console.log('data',d.length>0);c.destroy();console.log(c.destroyed,c.readable,c.writable,c.readyState);});c.on('end',()=>console.log('never'));c.on('close',h=>{console.log('close',h,c.closed);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('error',()=>{});c.write('one');setTimeout(()=>c.destroy(),60);});
