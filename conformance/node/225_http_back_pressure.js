const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
// Sends a text, and calls back with all that came until the connection closed.
const raw=(s,text,done)=>{const c=net.connect(s.address().port,'127.0.0.1');let all='';c.on('data',d=>all+=d);c.on('error',e=>log('client',e.code));c.on('close',()=>done(all.replace(/Date: [^\r]*/g,'Date: now').replace(/\r/g,'')));c.write(text);return c;};
const s=http.createServer((req,res)=>{let n=0;const part=Buffer.alloc(65536,'x');
 res.on('finish',()=>log('finish'));res.on('close',()=>log('close'));
 let stops=0;const more=()=>{while(n<64){n++;if(!res.write(part)){stops++;res.once('drain',more);return;}}log('all written',stops>0);res.end();};more();log('first stop',n,res.writableNeedDrain);});
const t=http.createServer((req,res)=>{let got=0;req.on('data',d=>{got+=d.length;});req.on('end',()=>res.end('got '+got));req.pause();setTimeout(()=>req.resume(),20);});
s.listen(0,'127.0.0.1',()=>{let got=0;const c=net.connect(s.address().port,'127.0.0.1');c.on('data',d=>got+=d.length);c.on('close',()=>{log(got>64*65536);s.close();
 t.listen(0,'127.0.0.1',()=>{const d=raw(t,'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n',all=>{log(all.split('\n').pop());t.close();});d.write(Buffer.alloc(1000000));});});
 c.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');});
