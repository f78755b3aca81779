const net=require('net');
const s=net.createServer(c=>{c.end('bye',()=>console.log('srv finished'));['end','finish','close'].forEach(e=>c.on(e,()=>console.log('srv',e)));c.resume();c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>console.log('cli connect'));c.on('data',d=>console.log('cli data',String(d)));['end','finish','close'].forEach(e=>c.on(e,()=>console.log('cli',e,c.readyState)));});
