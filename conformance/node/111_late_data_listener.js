const net=require('net');
const s=net.createServer(c=>{setTimeout(()=>{console.log('waits',c.readableLength,c.readableFlowing);c.on('data',d=>console.log('data',String(d)));c.on('end',()=>{console.log('end');s.close();});console.log('listens');},60);});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').end('abc');});
