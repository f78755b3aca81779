const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{const seen=[];req.on('data',d=>seen.push(String(d)));
 req.on('end',()=>{log(req.url,seen.join('|'),JSON.stringify(req.trailers));res.write('first');res.write('');res.write('second');setTimeout(()=>{res.write('third');res.end();},5);});});
s.listen(0,'127.0.0.1',()=>raw(s,'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: tail\r\n\r\n',all=>{log(all);
 raw(s,'GET /10 HTTP/1.0\r\n\r\n',all=>{log(all.slice(all.indexOf(' ')));
 const c=raw(s,'POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nab',all=>{log(all);s.close();});
 setTimeout(()=>c.write('c\r\n'),20);setTimeout(()=>c.write('2\r\nde\r\n0\r\n\r\n'),40);});}));
