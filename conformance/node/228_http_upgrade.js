const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);res.end('plain');});
const up='GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n';
s.listen(0,'127.0.0.1',()=>{const a=raw(s,up,all=>{log(all.split('\n')[0],all.endsWith('plain'));
 s.on('upgrade',(req,c,head)=>{log('upgrade',req.headers.upgrade,String(head));c.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');c.on('data',d=>{log('chat',String(d));c.end('bye');});});
 const b=raw(s,up+'first',all=>{log(all);
 raw(s,'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',all=>{log(JSON.stringify(all));
 s.on('connect',(req,c,head)=>{log('connect',req.method,req.url);c.end('HTTP/1.1 200 Yes\r\n\r\n');});
 raw(s,'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',all=>{log(all);s.close();});});});
 setTimeout(()=>b.write('second'),20);});a.once('data',()=>a.end());});
