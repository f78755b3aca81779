const net=require('net');
const s=net.createServer(c=>{setTimeout(()=>console.log('timeout'),0);setImmediate(()=>{console.log('immediate');const t=Date.now();while(Date.now()-t<5);setImmediate(()=>console.log('next immediate'));});c.end();c.resume();c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.resume();});
