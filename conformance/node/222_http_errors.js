const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);req.on('error',e=>log('req error',e.code));res.on('close',()=>log('res close'));req.on('data',()=>{});if(req.url!=='/bad-chunk')res.end('fine');});
const bad=['GARBAGE\r\n\r\n','GET / HTTP/9.9\r\nHost: a\r\n\r\n','GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n','GET / HTTP/1.1\r\n\r\n',
 'GET / HTTP/1.1\r\nHost: a\r\nX: '+'x'.repeat(20000)+'\r\n\r\n','POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
 'GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n'];
const next=()=>{if(!bad.length)return chunk();const text=bad.shift();raw(s,text,all=>{log(JSON.stringify(all.split('\n')[0]),all.endsWith('Connection: close\n\n'));next();});};
const chunk=()=>raw(s,'POST /bad-chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',all=>{log(JSON.stringify(all));heard();});
const heard=()=>{s.on('clientError',(e,c)=>{log('clientError',e.code.slice(0,4),e instanceof Error,c.writable);c.end('HTTP/1.1 400 Mine\r\n\r\n');});
 raw(s,'GARBAGE\r\n\r\n',all=>{log(JSON.stringify(all));
 const c=raw(s,'GET /half HTTP',all=>{log(JSON.stringify(all));s.close();});c.end();});};
s.on('close',()=>log('closed'));
s.listen(0,'127.0.0.1',next);
