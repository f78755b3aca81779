const dgram=require('dgram');
const s=dgram.createSocket('udp4');let n=0;
s.on('message',()=>{n++;if(n===1){setImmediate(()=>console.log('immediate after',n));setTimeout(()=>console.log('end',n),50);}if(n===80){s.close();}});
s.bind(0,'127.0.0.1',()=>{const c=dgram.createSocket('udp4');let left=80;
  c.connect(s.address().port,'127.0.0.1',()=>{for(let i=0;i<80;i++)c.send('m'+i,()=>{if(--left===0){console.log('all sent');c.close();}});});
});
