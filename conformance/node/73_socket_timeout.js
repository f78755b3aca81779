const net=require('net');let n=0;
const s=net.createServer(c=>{c.setTimeout(60);c.on('timeout',()=>{console.log('timeout',++n);if(n===1)c.write('still there?');else{c.destroy();}});c.on('data',d=>console.log('srv data',String(d)));c.on('close',h=>{console.log('close',h);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('data',d=>console.log('cli data',String(d)));setTimeout(()=>c.write('x'),30);c.on('end',()=>console.log('cli end'));});
