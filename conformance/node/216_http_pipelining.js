const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);res.on('finish',()=>log('finish',req.url));res.on('close',()=>log('close',req.url));res.end(req.url);});
const t=http.createServer((req,res)=>{setTimeout(()=>res.end(req.url),req.url==='/1'?40:5);});
const three='GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
s.listen(0,'127.0.0.1',()=>raw(s,three,all=>{log(all);s.close();
 t.listen(0,'127.0.0.1',()=>raw(t,three,all=>{log(all.split('\n').filter(l=>/^.?\/\d/.test(l)).map(l=>l.slice(0,2)).join(' '));t.close();}));}));
