const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>{console.log('data',String(d));setTimeout(()=>c.resetAndDestroy(),30);});c.on('close',h=>{console.log('srv close',h);s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');c.write('x');c.on('data',()=>{});c.on('end',()=>console.log('never'));c.on('error',e=>{console.log(e.code,e.syscall,e.message,c.destroyed);process.nextTick(()=>console.log('tick'));});c.on('close',h=>console.log('cli close',h));});
