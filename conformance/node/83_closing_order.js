const net=require('net');const all=[];
const s=net.createServer(c=>{all.push(c);const n=all.length;c.on('close',()=>console.log('close',n));c.on('error',()=>{});c.resume();if(n===3)setTimeout(()=>{setImmediate(()=>console.log('immediate'));setTimeout(()=>console.log('timer'),0);all.forEach(c=>c.destroy());process.nextTick(()=>console.log('tick'));s.close(()=>console.log('closed'));},60);});
s.listen(0,'127.0.0.1',()=>{for(let i=0;i<3;i++)net.connect(s.address().port,'127.0.0.1').on('error',()=>{}).resume();});
