const net=require('net');let n=0;const log=[];
const s=net.createServer(c=>{const k=n++;log.push('c'+k);c.on('data',d=>{log.push('d'+k+d);setImmediate(()=>log.push('i'+k));});c.on('end',()=>{log.push('e'+k);if(k===3)setTimeout(()=>{console.log(log.join(' '));s.close();},60);});});
s.listen(0,'127.0.0.1',()=>{for(let i=0;i<4;i++)net.connect(s.address().port,'127.0.0.1').end('x'+i);});
