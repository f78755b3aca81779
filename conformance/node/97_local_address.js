const net=require('net');
const s=net.createServer(c=>{console.log('from',c.remoteAddress,c.remoteFamily,c.remotePort===port,c.localAddress,c.localPort===s.address().port);c.end();});let port;
s.listen(0,'127.0.0.1',()=>{const free=net.createServer().listen(0,'127.0.0.2',()=>{port=free.address().port;free.close(()=>{const c=net.connect({port:s.address().port,host:'127.0.0.1',localAddress:'127.0.0.2',localPort:port});c.on('connect',()=>console.log('local',c.localAddress,c.localPort===port));c.resume();c.on('close',h=>{console.log('close',h);
 const d=net.connect({port:s.address().port,host:'127.0.0.1',localAddress:'192.0.2.1'});d.on('error',e=>{console.log(e.code,e.syscall,e.message);s.close();});d.on('connectionAttempt',()=>console.log('never'));});});});});
