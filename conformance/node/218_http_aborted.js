const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);
 req.on('data',d=>log('data',String(d)));req.on('end',()=>log('req end'));
 req.on('aborted',()=>log('aborted',req.aborted));req.on('error',e=>log('req error',e.code,e.message));
 req.on('close',()=>log('req close',req.complete,req.destroyed));
 res.on('finish',()=>log('finish'));res.on('close',()=>{log('res close',res.writableEnded,res.writableFinished,res.destroyed);if(req.url==='/get')s.close();});
 if(req.url==='/get')res.write('part');});
s.on('close',()=>log('server close'));
s.listen(0,'127.0.0.1',()=>{const c=raw(s,'POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf',()=>{log('gone');
 const d=raw(s,'GET /get HTTP/1.1\r\nHost: a\r\n\r\n',()=>log('gone, too'));d.once('data',()=>d.destroy());});
 setTimeout(()=>c.destroy(),30);});
