const net=require('net');let first=true;
const s=net.createServer();s.on('listening',()=>{console.log('listening',s.listening);try{s.listen(0)}catch(e){console.log(e.code,e.message)}s.close();console.log(s.listening,s.address());});
s.on('close',()=>{console.log('close');if(first){first=false;s.listen(0,'127.0.0.1');}});s.listen(0,'127.0.0.1');console.log('called',s.listening,s.address());
