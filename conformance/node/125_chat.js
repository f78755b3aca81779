const net=require('net');const members=new Set();
const s=net.createServer(c=>{members.add(c);c.on('data',d=>{for(const m of members)if(m!==c)m.write(d);});c.on('end',()=>{members.delete(c);if(members.size===0){console.log('empty');s.close();}});});
s.listen(0,'127.0.0.1',()=>{const names=['Ada','Ben','Cleo'];const all=names.map(n=>{const c=net.connect(s.address().port,'127.0.0.1');c.on('data',d=>console.log(n,'hears',String(d)));return c;});
 setTimeout(()=>all[0].write('I am Ada'),60);setTimeout(()=>all[2].write('I am Cleo'),120);setTimeout(()=>all.forEach(c=>c.end()),180);});
