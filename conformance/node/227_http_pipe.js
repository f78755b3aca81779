const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request');res.on('pipe',()=>log('pipe'));res.on('unpipe',()=>log('unpipe'));res.on('finish',()=>log('finish'));req.pipe(res);});
s.listen(0,'127.0.0.1',()=>{const c=raw(s,'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello',all=>{log(all);s.close();});c.on('connect',()=>setTimeout(()=>c.write('world'),30));});
