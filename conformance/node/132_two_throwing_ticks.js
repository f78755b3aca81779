const net=require('net');process.on('uncaughtException',e=>console.log('caught',e.message));
const s=net.createServer(c=>{c.on('error',()=>{});c.resume();c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('close',()=>console.log('close'));c.on('connect',()=>{c.destroy();process.nextTick(()=>{throw new Error('one')});process.nextTick(()=>{throw new Error('two')});process.nextTick(()=>console.log('three'));});});
