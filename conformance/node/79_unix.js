const net=require('net'),fs=require('fs'),path=require('path'),os=require('os');
const dir=fs.mkdtempSync(path.join(os.tmpdir(),'oneloop-'));const p=path.join(dir,'s.sock');
const s=net.createServer(c=>{console.log('connection',c.remoteAddress,c.remotePort);c.on('data',d=>{console.log('srv data',String(d));c.end('bye');});c.on('end',()=>console.log('srv end'));c.on('close',h=>{console.log('srv close',h);s.close(()=>{console.log('closed',fs.existsSync(p));fs.rmSync(dir,{recursive:true});});});});
s.listen(p,()=>{console.log('listening',s.address()===p);const c=net.connect(p,()=>{console.log('connected',c.readyState);c.write('hello');});c.on('data',d=>console.log('cli data',String(d)));c.on('end',()=>console.log('cli end'));c.on('close',h=>console.log('cli close',h));});
