const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
let n=0;const s=http.createServer((req,res)=>{log('request',++n,req.url);res.end('answer '+n);});
s.keepAliveTimeout=200;s.on('connection',()=>log('connection'));s.on('close',()=>log('server close'));
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';
 c.on('data',d=>{all+=d;if(String(d).endsWith('answer 1'))c.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');});
 c.on('end',()=>log('end'));c.on('close',()=>{log(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,''));s.close();});
 c.write('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');});
