const dgram=require('dgram');
process.on('exit',c=>console.log('exit',c));
const s=dgram.createSocket('udp4');
s.bind(0,'127.0.0.1',()=>{console.log('listening');s.unref();setTimeout(()=>console.log('timeout'),20);});
