const net=require('net');process.on('uncaughtException',e=>console.log('caught',e.message));
const s=net.createServer(c=>{c.on('close',()=>{throw new Error('in close');});c.on('close',()=>console.log('never'));c.destroy();setTimeout(()=>{console.log('goes on');s.close();},60);});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').on('error',()=>{}).resume();});
