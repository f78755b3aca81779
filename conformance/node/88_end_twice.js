const net=require('net');
const s=net.createServer(c=>{c.resume();c.on('end',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.on('finish',()=>{console.log('finish');c.end(e=>console.log('third',e&&e.code));});c.end(e=>console.log('first',e));c.end(e=>console.log('second',e));});c.resume();c.on('close',()=>{console.log('close');c.end(e=>console.log('fourth',e&&e.code));c.write('x',e=>console.log('write',e&&e.code));});c.on('error',e=>console.log('error',e.code));});
