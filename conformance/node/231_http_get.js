const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const s=http.createServer((req,res)=>{log(req.method,req.url,JSON.stringify(req.headers).replace(/:\d+"/,':port"'));res.setHeader('X-Answer','yes');res.end('Hello World\n');});
s.listen(0,'127.0.0.1',()=>{const port=s.address().port;
 const req=http.get(`http://127.0.0.1:${port}/a?b=c`,res=>{log('response',res.statusCode,res.statusMessage,res.httpVersion,res.headers['x-answer'],res.headers['content-length']);
  res.on('data',d=>log('data',JSON.stringify(String(d))));res.on('end',()=>log('end',res.complete));res.on('close',()=>{log('res close');s.close();});});
 log(req.method,req.path,req.headersSent,req.writableEnded);
 req.on('socket',c=>log('socket',c.connecting));req.on('finish',()=>log('finish'));req.on('close',()=>log('close',req.destroyed));
 process.nextTick(()=>log('tick'));});
s.on('close',()=>log('server close'));
