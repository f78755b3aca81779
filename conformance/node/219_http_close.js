const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);if(req.url==='/slow')setTimeout(()=>{log('answer');res.end('slow');},100);else res.end('fast');});
s.keepAliveTimeout=100;const gone=[];
s.on('close',()=>log('server close'));
s.listen(0,'127.0.0.1',()=>{
 raw(s,'GET /fast HTTP/1.1\r\nHost: a\r\n\r\n',all=>gone.push('idle'));
 setTimeout(()=>raw(s,'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n',all=>{gone.push(all.slice(-4));}),20);
 setTimeout(()=>{log('close');s.close(e=>{log('callback',e===undefined);setTimeout(()=>log(gone.join(' ')),20);});s.close(e=>log('again',e.code));},60);
 setTimeout(()=>log(gone.join(' '),s.listening),90);});
