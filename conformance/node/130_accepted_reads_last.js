const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>console.log('srv data',String(d)));c.on('error',()=>{});c.write('abcd');});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.write('xyz');c.on('data',d=>console.log('cli data',String(d)));setTimeout(()=>{c.destroy();s.close();},60);});
