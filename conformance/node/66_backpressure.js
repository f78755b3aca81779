const net=require('net');let sent=0;
const s=net.createServer(c=>{c.pause();let n=0;c.on('data',d=>n+=d.length);setTimeout(()=>c.resume(),60);c.on('end',()=>{console.log('received all',n===sent);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{const b=Buffer.alloc(65536);while(c.write(b))sent+=b.length;sent+=b.length;
 console.log('full',c.writableNeedDrain,c.writableLength>0,c.writableLength<=65536);
 c.on('drain',()=>{console.log('drain',c.writableLength,c.writableNeedDrain);c.end(()=>console.log('ended',c.bytesWritten===sent));});});});
