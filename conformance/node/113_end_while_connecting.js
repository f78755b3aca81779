const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>console.log('data',String(d)));c.on('end',()=>console.log('srv end'));c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.write('a',()=>console.log('written'));c.write('b');c.end('c',()=>console.log('ended'));console.log(c.writableLength,c.writableEnded,c.connecting);c.on('connect',()=>console.log('connect',c.readyState));c.on('ready',()=>console.log('ready'));c.on('finish',()=>console.log('finish'));c.resume();c.on('close',()=>console.log('cli close'));});
