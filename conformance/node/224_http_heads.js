const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const t=f=>{try{f();}catch(e){log(e.code,e.message);}};
const s=http.createServer((req,res)=>{switch(req.url){
 case '/head':res.setHeader('X-One','1');res.setHeader('Set-Cookie',['a=1','b=2']);log(res.getHeader('x-one'),res.hasHeader('X-ONE'),JSON.stringify(res.getHeaderNames()),res.headersSent);
  res.removeHeader('x-one');res.write('not sent');res.end('nor this');break;
 case '/none':res.statusCode=204;res.end();break;
 case '/not':res.writeHead(304,{'Etag':'"x"'});res.end('dropped');break;
 case '/words':res.statusMessage='Very Fine';res.writeHead(201,{'Content-Type':'text/plain','Content-Length':4});res.end('four');
  t(()=>res.setHeader('X','y'));t(()=>res.writeHead(200));break;
 case '/bare':res.sendDate=false;res.end('b');break;
 case '/length':res.removeHeader('Content-Length');res.end('l');break;
 case '/invalid':t(()=>res.setHeader('a b','x'));t(()=>res.setHeader('X','a\nb'));res.writeHead(418);res.end();break;
 case '/flush':res.flushHeaders();setTimeout(()=>res.end('later'),10);break;
 case '/own':res.setHeader('Connection','close');res.setHeader('Date','never');res.end('own');break;}});
const urls=['HEAD /head','GET /none','GET /not','GET /words','GET /bare','GET /length','GET /invalid','GET /flush','GET /own'];
const next=()=>{if(!urls.length)return s.close();raw(s,urls.shift()+' HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',all=>{log(all);log('--');next();});};
s.listen(0,'127.0.0.1',next);
