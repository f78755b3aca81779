const net=require('net');
const s=net.createServer({highWaterMark:4},c=>{c.pause();setTimeout(()=>{console.log('buffered',c.readableLength>=4,c.readableHighWaterMark);c.on('data',d=>console.log('data',String(d)));c.resume();},60);c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{console.log(c.write('abcdefgh'),c.writableHighWaterMark);c.end();});});
