const net=require('net');
const s=net.createServer(c=>{c.pause();c.on('close',()=>s.close());c.on('error',()=>{});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{const b=Buffer.alloc(8<<20);c.write(b,e=>console.log('first',e&&e.code));c.write('x',e=>console.log('second',e&&e.code));c.write('y',e=>console.log('third',e&&e.code));c.end(e=>console.log('end',e&&e.code));
 setTimeout(()=>{c.destroy();console.log('destroyed');process.nextTick(()=>console.log('tick'));setImmediate(()=>console.log('immediate'));},60);});c.on('close',h=>{console.log('close',h);process.exit();});});
