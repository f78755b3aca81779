const http=require('http'),net=require('net');const log=(...a)=>console.log(...a);
let n=0;const s=http.createServer((req,res)=>{setTimeout(()=>res.end(req.url),5);});
s.on('connection',()=>log('connection',++n));
const get=(options,done)=>{const req=http.get({host:'127.0.0.1',port:s.address().port,...options},res=>{let b='';res.on('data',d=>b+=d);res.on('end',()=>log(b,req.reusedSocket,res.headers.connection,res.headers['keep-alive']));});req.on('close',()=>setTimeout(done,5));};
s.listen(0,'127.0.0.1',()=>get({path:'/1'},()=>get({path:'/2'},()=>{
 const plain=new http.Agent();get({path:'/3',agent:plain},()=>{
 const one=new http.Agent({keepAlive:true,maxSockets:1});let left=3;
 for(const i of [4,5,6])get({path:'/'+i,agent:one},()=>{if(--left===0){log('free',Object.values(one.freeSockets).flat().length);one.destroy();
  get({path:'/7'},()=>{s.close();});}});});})));
s.on('close',()=>log('server close'));
