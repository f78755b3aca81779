const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>{log('origin',req.method,req.headers.via);res.setHeader('X-From','origin');req.pipe(res);});
const p=http.createServer((req,res)=>{const out=http.request({host:'127.0.0.1',port:s.address().port,method:req.method,path:req.url,headers:{Via:'1.1 here'}},back=>{res.writeHead(back.statusCode,{'X-From':back.headers['x-from']});back.pipe(res);});req.pipe(out);});
s.listen(0,'127.0.0.1',()=>p.listen(0,'127.0.0.1',()=>{const req=http.request({host:'127.0.0.1',port:p.address().port,method:'PUT'},res=>{log(res.statusCode,res.headers['x-from']);let n=0;res.on('data',d=>n+=d.length);res.on('end',()=>{log(n);p.close();s.close();});});
 req.write(Buffer.alloc(300000));req.end(Buffer.alloc(200000));}));
