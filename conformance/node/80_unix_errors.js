const net=require('net'),fs=require('fs'),path=require('path'),os=require('os');
const dir=fs.mkdtempSync(path.join(os.tmpdir(),'oneloop-'));const p=path.join(dir,'s.sock');const show=m=>m.replace(dir,'DIR');
const c=net.connect(p);setImmediate(()=>console.log('immediate'));process.nextTick(()=>console.log('tick'));
c.on('error',e=>console.log(e.code,e.syscall,show(e.address),show(e.message)));
c.on('close',h=>{console.log('close',h);const a=net.createServer().listen(p,()=>{const b=net.createServer();b.on('error',e=>{console.log(e.code,show(e.message));a.close();
 const d=net.createServer();d.on('error',e=>{console.log(e.code,show(e.message));fs.rmSync(dir,{recursive:true});});d.listen(path.join(dir,'no','such','dir'));});b.listen(p);});});
