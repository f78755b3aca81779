const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>res.end('x'.repeat(100000)));
s.listen(0,'127.0.0.1',()=>{const u=`http://127.0.0.1:${s.address().port}/`;
 const a=http.get(u);a.on('close',()=>{log('dumped');
 http.get(u,res=>{let n=0;res.pause();res.on('data',d=>n+=d.length);res.on('end',()=>{log(n);
  const c=http.request({host:'127.0.0.1',port:s.address().port,method:'HEAD'},res=>{log(res.statusCode,res.headers['content-length']);res.on('end',()=>{log('end of head');s.close();});res.resume();});c.end();});
  setTimeout(()=>res.resume(),30);});});});
