const net=require('net');
const s=net.createServer(c=>{c.pipe(c);setTimeout(()=>{c.unpipe(c);console.log('unpiped',c.isPaused(),c.listenerCount('data'));},60);c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('data',d=>console.log('echo',String(d)));c.write('one');
 setTimeout(()=>c.write('two'),120);setTimeout(()=>c.destroy(),180);c.on('close',()=>{console.log('cli close');s.close();process.exit();});});
