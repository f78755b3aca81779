const net=require('net');process.on('exit',()=>console.log('never'));
net.createServer().listen(0,'127.0.0.1',()=>{console.log('listening');setTimeout(()=>process.kill(process.pid,'SIGTERM'),30);setTimeout(()=>console.log('never'),500);});
