const net=require('net');
const s=net.createServer(c=>{c.resume();s.getConnections((e,n)=>{console.log('connections',e,n);if(n===2)setTimeout(()=>{a.destroy();b.destroy();setTimeout(()=>s.getConnections((e,n)=>{console.log('then',n);s.close();}),60);},30);});console.log('handler');});let a,b;
s.listen(0,'127.0.0.1',()=>{a=net.connect(s.address().port,'127.0.0.1');b=net.connect(s.address().port,'127.0.0.1');});
