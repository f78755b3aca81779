const dgram=require('dgram');
const gone=dgram.createSocket('udp4');
gone.bind(0,'127.0.0.1',()=>{const p=gone.address().port;gone.close(()=>{
  const c=dgram.createSocket('udp4');let asked=0;
  c.on('error',e=>{console.log('error',e.code,e.syscall,e.message);c.close();});
  c.on('close',()=>console.log('close'));
  c.connect(p,'127.0.0.1',()=>c.send('anybody?',(e,n)=>console.log('sent',e,n)));
});});
