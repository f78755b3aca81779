const net=require('net');
const s=net.createServer().listen(0,'127.0.0.1',()=>{console.log('listening');s.unref();setTimeout(()=>console.log('timer'),30);});
process.on('exit',c=>console.log('exit',c,s.listening));
