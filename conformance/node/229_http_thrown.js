const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
process.on('uncaughtException',e=>log('uncaught',e.message));
const s=http.createServer((req,res)=>{log('request',req.url);if(req.url==='/throw'){setTimeout(()=>res.end('after all'),5);throw new Error('listener');}
 res.on('error',e=>log('res error',e.code));res.end('x');res.write('y');res.end('z');res.write('y',e=>log('callback',e.code));});
s.listen(0,'127.0.0.1',()=>raw(s,'GET /throw HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',all=>{log(all.endsWith('after all'));
 raw(s,'GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',all=>{log(all.endsWith('x'));s.close();});}));
