const net=require('net');
const s=net.createServer({allowHalfOpen:true},c=>{c.on('data',d=>console.log('srv data',String(d)));c.on('end',()=>{console.log('srv end',c.readyState);setTimeout(()=>{c.write('late');c.end('r');console.log(c.readyState);},60);});c.on('close',h=>{console.log('srv close',h,c.readyState);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.end('x');console.log(c.readyState);c.on('data',d=>console.log('cli data',String(d),c.readyState));c.on('end',()=>console.log('cli end'));c.on('close',h=>console.log('cli close',h));});
