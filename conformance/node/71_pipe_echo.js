const net=require('net');
const s=net.createServer(c=>{['pipe','unpipe','end','finish','close'].forEach(e=>c.on(e,()=>console.log('srv',e)));c.pipe(c);c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('data',d=>{console.log('cli data',String(d));c.end();});['end','finish','close'].forEach(e=>c.on(e,()=>console.log('cli',e)));c.write('hello');});
