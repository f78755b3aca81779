const{spawn}=require('child_process');const c=spawn('sleep',['60'],{stdio:'ignore'});
console.log(c.stdin,c.stdout,c.kill(0),c.killed,c.kill('SIGTERM'),c.killed,c.exitCode,c.signalCode);
c.on('spawn',()=>console.log('spawn'));c.on('exit',(n,s)=>{console.log('exit',n,s,c.exitCode,c.signalCode,c.kill());process.nextTick(()=>console.log('tick of exit'));Promise.resolve().then(()=>console.log('micro of exit'));});
c.on('close',(n,s)=>console.log('close',n,s));
