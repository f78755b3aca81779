const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{log('request',req.url);let b='';req.on('data',d=>b+=d);req.on('end',()=>res.end('got '+b));});
const post=(url,expect)=>`POST ${url} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: ${expect}\r\nConnection: close\r\n\r\n`;
const ask=(url,expect,done)=>{const c=raw(s,post(url,expect),all=>{log(all);done();});c.once('data',d=>{if(String(d).startsWith('HTTP/1.1 100'))c.write('body');});};
s.listen(0,'127.0.0.1',()=>ask('/auto','100-continue',()=>{
 s.on('checkContinue',(req,res)=>{log('checkContinue',req.url);if(req.url==='/no'){res.statusCode=413;res.end('too much');}else{res.writeContinue();s.emit('request',req,res);}});
 ask('/yes','100-continue',()=>ask('/no','100-continue',()=>ask('/odd','tea',()=>{
 s.on('checkExpectation',(req,res)=>{log('checkExpectation',req.headers.expect);res.writeHead(200);res.end('as you');});
 const c=raw(s,post('/tea','tea')+'body',all=>{log(all);s.close();});})));}));
