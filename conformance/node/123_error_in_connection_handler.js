const net=require('net');process.on('uncaughtException',(e,o)=>console.log('caught',e.message,o));let n=0;
const s=net.createServer(c=>{c.resume();c.on('end',()=>{console.log('end');if(n===2)s.close();});if(++n===1)throw new Error('in connection');console.log('second');});
s.listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').end();net.connect(s.address().port,'127.0.0.1').end();});
