const net=require('net');process.on('exit',c=>console.log('exit',c));
net.connect(1,'127.0.0.1').on('close',()=>console.log('never'));
