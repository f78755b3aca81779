const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);if(req.url==='/idle')res.end('x');});
const gone=[];
s.on('close',()=>{log('server close');setTimeout(()=>log(gone.sort().join(' ')),20);});
s.listen(0,'127.0.0.1',()=>{
 raw(s,'GET /idle HTTP/1.1\r\nHost: a\r\n\r\n',()=>gone.push('idle'));
 setTimeout(()=>raw(s,'GET /busy HTTP/1.1\r\nHost: a\r\n\r\n',()=>gone.push('busy')),20);
 setTimeout(()=>raw(s,'',()=>gone.push('silent')),40);
 setTimeout(()=>{log('close idle');s.closeIdleConnections();},80);
 setTimeout(()=>{log(gone.join(' '));s.getConnections((e,n)=>log(n));},110);
 setTimeout(()=>{log('close all');s.close();s.closeAllConnections();},140);});
