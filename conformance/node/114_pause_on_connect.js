const net=require('net');
const s=net.createServer({pauseOnConnect:true},c=>{c.on('data',d=>console.log('data',String(d)));c.on('end',()=>{console.log('end');s.close();});setTimeout(()=>{console.log(c.isPaused(),c.bytesRead,c.readableLength);c.resume();},60);});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').end('abc');});
