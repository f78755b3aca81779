const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.method);
 req.on('data',d=>log('req data',String(d)));req.on('end',()=>{log('req end',req.complete);res.end('done');log('ended',res.writableEnded,res.headersSent);});
 req.on('close',()=>log('req close'));req.on('resume',()=>log('req resume'));
 res.on('finish',()=>log('res finish',res.writableFinished));res.on('close',()=>log('res close'));
 process.nextTick(()=>log('tick'));});
s.on('connection',c=>{log('connection');c.on('close',()=>log('socket close'));});
s.on('close',()=>log('server close'));
s.listen(0,'127.0.0.1',()=>{log('listening');raw(s,'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello',all=>{log(all);s.close();});});
