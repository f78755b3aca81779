const net=require('net');const a=new AbortController();
const s=net.createServer(c=>{c.resume();c.on('end',()=>console.log('srv end'));c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect({port:s.address().port,host:'127.0.0.1',signal:a.signal},()=>{console.log('connected');setImmediate(()=>{a.abort();console.log('aborted',c.destroyed);});});c.on('error',e=>console.log(e.code,e.message));c.on('close',h=>{console.log('close',h);
 const d=net.connect({port:1,host:'127.0.0.1',signal:a.signal});console.log('d',d.destroyed);d.on('error',e=>console.log('d',e.code));d.on('close',()=>console.log('d close'));});});
