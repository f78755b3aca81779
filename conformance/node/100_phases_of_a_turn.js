const net=require('net');
const s=net.createServer(c=>{c.on('data',()=>{console.log('data');setTimeout(()=>console.log('timer'),1);setImmediate(()=>{console.log('immediate');const t=Date.now();while(Date.now()-t<5);});process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro'));c.destroy();c.on('close',()=>{console.log('close');s.close();});});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('error',()=>{});c.write('x');c.resume();});
