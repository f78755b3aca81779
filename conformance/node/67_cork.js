const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>console.log('data',String(d)));c.on('end',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.cork();c.cork();console.log(c.write('a',()=>console.log('a written')));c.write('b',()=>console.log('b written'));c.uncork();console.log('still',c.writableLength,c.bytesWritten);c.uncork();console.log('sent',c.writableLength,c.bytesWritten);c.cork();c.write('c');c.end('d');});});
