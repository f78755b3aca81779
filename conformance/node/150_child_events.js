const{spawn}=require('child_process');const c=spawn('sh',['-c','cat; exit 3'],{stdio:['pipe','pipe','inherit']});
console.log(typeof c.pid,c.exitCode,c.signalCode,c.killed,c.stderr,c.spawnfile,c.spawnargs.join(' '));let told=false;
c.on('spawn',()=>console.log('spawn'));process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro'));
c.stdin.on('finish',()=>console.log('stdin finish'));c.stdout.on('data',d=>console.log('data',String(d)));
c.on('exit',(n,s)=>{told=n===3&&s===null;});c.on('close',(n,s)=>console.log('close',n,s,told,c.exitCode,c.signalCode,c.killed,c.kill()));c.stdin.end('hello');
