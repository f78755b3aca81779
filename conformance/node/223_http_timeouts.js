const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer({connectionsCheckingInterval:100,headersTimeout:300,requestTimeout:600},(req,res)=>{log('request',req.url);req.on('error',e=>log('req error',e.code));res.on('close',()=>log('res close'));req.resume();});
s.listen(0,'127.0.0.1',()=>{
 const c=raw(s,'GET /slow-head HTTP/1.1\r\n',all=>{log('head',JSON.stringify(all));
 raw(s,'POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf',all=>{log('body',JSON.stringify(all));
 raw(s,'',all=>{log('silent',JSON.stringify(all));
 s.setTimeout(80);
 raw(s,'GET /idle HTTP/1.1\r\nHost: a\r\n\r\n',all=>{log('timeout',JSON.stringify(all));
 s.on('timeout',c=>{log('heard');c.destroy();});
 raw(s,'GET /idle HTTP/1.1\r\nHost: a\r\n\r\n',all=>{s.close();});});});});});
 const slow=setInterval(()=>{if(c.writable)c.write('X: y\r\n');else clearInterval(slow);},50);c.on('close',()=>clearInterval(slow));});
