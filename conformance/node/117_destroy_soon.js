const net=require('net');
const s=net.createServer(c=>{c.on('data',d=>console.log('data',String(d)));c.on('end',()=>console.log('srv end'));c.on('close',()=>s.close());});
s.listen(0,'127.0.0.1',()=>{const c=net.connect(s.address().port,'127.0.0.1',()=>{c.write('last');c.destroySoon();console.log(c.destroyed,c.writableEnded);});c.on('finish',()=>console.log('finish',c.destroyed));c.on('close',h=>console.log('close',h,c.destroyed));});
