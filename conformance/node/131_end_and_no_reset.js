const net=require('net'),fs=require('fs'),path=require('path'),os=require('os');
const dir=fs.mkdtempSync(path.join(os.tmpdir(),'oneloop-'));const p=path.join(dir,'s.sock');
const s=net.createServer({pauseOnConnect:true},c=>setImmediate(()=>{c.write('x');c.destroy();}));
s.listen(p,()=>{const c=net.connect(p);c.write('unread');c.on('data',d=>console.log('data',String(d)));c.on('end',()=>console.log('end'));c.on('error',e=>console.log('error',e.code));c.on('close',h=>{console.log('close',h);s.close();fs.rmSync(dir,{recursive:true});});});
