const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>{let b='';req.on('data',d=>b+=d);req.on('end',()=>{log(req.method,req.headers['content-length'],req.headers['transfer-encoding'],req.headers['content-type'],b);res.writeHead(201,'Made',{'Set-Cookie':['a','b']});res.end();});});
const post=(headers,f,done)=>{const req=http.request({host:'127.0.0.1',port:s.address().port,method:'post',path:'/p',headers},res=>{log(res.statusCode,res.statusMessage,JSON.stringify(res.headers['set-cookie']));res.resume();res.on('end',done);});f(req);};
s.listen(0,'127.0.0.1',()=>post({'Content-Type':'text/plain'},req=>{req.write('one,');req.write('two');req.end(',three');},
 ()=>post({},req=>req.end('whole'),
 ()=>post({'Content-Length':4},req=>{req.write('fo');setTimeout(()=>req.end('ur'),10);},
 ()=>post({},req=>{req.setHeader('X','y');log(req.getHeader('x'),JSON.stringify(req.getHeaderNames()));req.flushHeaders();try{req.setHeader('X','z');}catch(e){log(e.code);}setTimeout(()=>req.end(),10);},
 ()=>s.close())))));
