const net=require('net');
const s=net.createServer(c=>{console.log(c.remoteFamily,c.remoteAddress,c.localFamily,c.localAddress);c.end();});
s.listen(0,'::1',()=>{const a=s.address();console.log(a.family,a.address,a.port>0,s.listening);const c=net.connect(a.port,'::1');c.resume();c.on('close',()=>{console.log(c.remoteAddress,c.remotePort===undefined);s.close();console.log(s.address(),s.listening);});});
