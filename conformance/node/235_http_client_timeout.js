const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>{if(req.url==='/half')res.write('half');});
const u=what=>`http://127.0.0.1:${s.address().port}${what}`;
s.listen(0,'127.0.0.1',()=>{const a=http.get(u('/'),{timeout:50});a.on('timeout',()=>{log('timeout');a.destroy();});a.on('error',e=>log(e.code));
 a.on('close',()=>{const b=http.get(u('/half'),res=>{res.on('timeout',()=>log('res timeout'));res.resume();res.on('error',e=>log('res error',e.code));res.on('close',()=>{log('res close');setTimeout(()=>{s.close();s.closeAllConnections();},10);});});
 b.setTimeout(60,()=>{log('b timeout');b.destroy();});b.on('error',e=>log('b error',e.code));b.on('close',()=>log('b close'));});});
s.on('close',()=>log('server close'));
