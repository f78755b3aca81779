const net=require('net'),fs=require('fs'),path=require('path'),os=require('os');
const dir=fs.mkdtempSync(path.join(os.tmpdir(),'oneloop-'));const p=path.join(dir,'s.sock');
const s=net.createServer(c=>{c.end(Buffer.alloc(200000));c.resume();});
s.listen(p,()=>{const c=net.connect(p);c.pause();let n=0;c.on('data',d=>{n+=d.length;console.log('data');setImmediate(()=>console.log('immediate'));});c.on('end',()=>console.log('end',n));c.on('close',()=>{s.close();fs.rmSync(dir,{recursive:true});});setTimeout(()=>c.resume(),60);});
