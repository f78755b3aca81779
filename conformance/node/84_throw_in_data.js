const net=require('net');process.on('uncaughtException',e=>console.log('caught',e.message));
const s=net.createServer(c=>{let n=0;c.on('data',d=>{console.log('data',String(d));process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro'));if(++n===1)throw new Error('in data');});c.on('data',d=>console.log('second',String(d)));c.on('end',()=>{console.log('end');s.close();});});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('one');setTimeout(()=>c.end('two'),60);});});
