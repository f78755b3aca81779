const net=require('net');
const s=net.createServer(c=>{console.log('connection');c.on('error',()=>{});c.resume();c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>console.log('never'));c.write('x',e=>console.log('write',e.code,e.message));c.on('error',e=>console.log('error',e.code));c.on('close',h=>console.log('close',h));c.destroy();console.log(c.connecting,c.destroyed);
 const d=net.connect(s.address().port,'127.0.0.1');d.on('error',e=>console.log('d',e.message));d.on('close',h=>console.log('d close',h));setTimeout(()=>d.destroy(new Error('enough')),60);});
