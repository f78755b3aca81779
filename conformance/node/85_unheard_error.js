const net=require('net');process.on('uncaughtException',(e,o)=>console.log('caught',e.code,o));
const c=net.connect(1,'127.0.0.1');c.on('close',h=>console.log('close',h));
