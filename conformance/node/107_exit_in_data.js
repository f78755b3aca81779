const net=require('net');process.on('exit',c=>console.log('exit',c));
const s=net.createServer(c=>{c.on('data',d=>{console.log('data');process.nextTick(()=>console.log('never'));process.exit(5);});c.on('close',()=>console.log('never'));});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').write('x');});
