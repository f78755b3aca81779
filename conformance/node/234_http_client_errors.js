const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
const seen=(name,req,done)=>{req.on('error',e=>log(name,'error',e.code.slice(0,11),e.code.startsWith('HPE')?'':e.message.replace(/:\d+$/,':port').slice(0,30)));req.on('close',()=>{log(name,'close',req.destroyed);done();});req.on('abort',()=>log(name,'abort'));};
const t=net.createServer(c=>{c.once('data',d=>{const what=String(d).split(' ')[1];
 if(what==='/hangup')c.end();else if(what==='/reset')c.resetAndDestroy();else if(what==='/garbage')c.end('GARBAGE\r\n\r\n');
 else if(what==='/cut')c.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
 else if(what==='/rest')c.end('HTTP/1.1 200 OK\r\n\r\nto the end');});c.on('error',()=>{});});
const u=what=>`http://127.0.0.1:${t.address().port}${what}`;
const body=name=>res=>{log(name,'response',res.statusCode);res.on('data',d=>log(name,'data',String(d)));res.on('end',()=>log(name,'end'));res.on('aborted',()=>log(name,'aborted'));res.on('error',e=>log(name,'res error',e.code,e.message));res.on('close',()=>log(name,'res close',res.complete));};
t.listen(0,'127.0.0.1',()=>seen('hangup',http.get(u('/hangup')),()=>seen('reset',http.get(u('/reset')),()=>seen('garbage',http.get(u('/garbage')),
 ()=>seen('cut',http.get(u('/cut'),body('cut')),()=>setTimeout(()=>seen('rest',http.get(u('/rest'),body('rest')),()=>setTimeout(()=>{
 const a=http.get(u('/never'));seen('abort',a,()=>{const d=http.get(u('/never'));seen('destroy',d,()=>{
  const e=http.get(u('/never'));seen('destroy error',e,()=>{const f=http.get(u('/never'));seen('at once',f,()=>{
   const port=t.address().port;t.close(()=>{seen('refused',http.get(`http://127.0.0.1:${port}/`),()=>{
    for(const bad of ['no url','https://a/'])try{http.get(bad);}catch(e){log(e.code);}
    try{http.get({path:'/a b',host:'127.0.0.1'});}catch(e){log(e.code);}
    try{http.request({method:'a b',host:'127.0.0.1'});}catch(e){log(e.code);}
   });});});f.destroy();});setTimeout(()=>e.destroy(Object.assign(new Error('mine'),{code:'EMINE'})),20);});setTimeout(()=>d.destroy(),20);});setTimeout(()=>a.abort(),20);},10)),10))))));
