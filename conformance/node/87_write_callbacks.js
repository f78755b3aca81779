const net=require('net');
const s=net.createServer(c=>{c.resume();c.on('end',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('a',e=>console.log('a',e));process.nextTick(()=>console.log('tick'));c.write('b',e=>console.log('b',e));Promise.resolve().then(()=>console.log('micro'));
 c.on('prefinish',()=>console.log('prefinish'));c.on('finish',()=>console.log('finish'));c.end('c',e=>console.log('end',e));console.log('called',c.writableEnded,c.writableFinished);setImmediate(()=>console.log('immediate'));});c.resume();c.on('close',()=>console.log('close'));});
