const net=require('net');
const s=net.createServer(c=>{c.on('pause',()=>console.log('pause event'));c.on('resume',()=>console.log('resume event'));
 c.on('data',d=>{console.log('data',String(d));c.pause();console.log('paused',c.isPaused());setTimeout(()=>{console.log('waiting',c.readableLength);c.resume();console.log('resumed',c.isPaused());},60);});
 c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('one');setTimeout(()=>c.end('two'),30);});});
