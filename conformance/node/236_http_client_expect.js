const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>{let b='';req.on('data',d=>b+=d);req.on('end',()=>res.end('got '+b));});
s.on('checkContinue',(req,res)=>{log('checkContinue');setTimeout(()=>{res.writeContinue();s.emit('request',req,res);},10);});
s.listen(0,'127.0.0.1',()=>{const req=http.request({host:'127.0.0.1',port:s.address().port,method:'POST',headers:{Expect:'100-continue','Content-Length':4}},res=>{log('response',res.statusCode);res.on('data',d=>log(String(d)));res.on('end',()=>s.close());});
 req.on('information',i=>log('information',i.statusCode));req.on('continue',()=>{log('continue');req.end('body');});log(req.headersSent);});
