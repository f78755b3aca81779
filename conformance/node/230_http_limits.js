const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);res.end(req.url);});
s.maxRequestsPerSocket=2;s.on('dropRequest',req=>log('dropRequest',req.url));
s.listen(0,'127.0.0.1',()=>{const g=n=>`GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`;
 const c=raw(s,g(1)+g(2),all=>{log(all);s.close();});});
