const net=require('net');const once=(e,n)=>new Promise(r=>e.once(n,r));
const s=net.createServer(async c=>{const d=await once(c,'data');console.log('got',String(d));process.nextTick(()=>console.log('tick'));await null;console.log('after await');c.end('bye');await once(c,'close');console.log('closed');s.close();});
s.listen(0,'127.0.0.1',async()=>{const c=net.connect(s.address().port,'127.0.0.1');await once(c,'connect');console.log('connected');c.write('hello');const d=await once(c,'data');console.log('reply',String(d));c.end();});
