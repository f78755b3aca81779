const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log(req.method,req.url,req.httpVersion,req.headers.host,req.headers['x-a']);res.end('Hello World\n');});
s.listen(0,'127.0.0.1',()=>raw(s,'GET /a?b=c HTTP/1.1\r\nHost: here\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n',all=>{log(all);
 raw(s,'GET / HTTP/1.0\r\n\r\n',all=>{log(all.slice(all.indexOf(' ')));s.close();});}));
s.on('close',()=>log('closed'));
