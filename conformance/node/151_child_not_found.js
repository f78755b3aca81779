const{spawn}=require('child_process');const c=spawn('/nowhere/program',['a','b']);
console.log(typeof c.pid,c.stdin!==null,c.stdout!==null,c.exitCode);process.nextTick(()=>console.log('tick'));setImmediate(()=>console.log('immediate'));
c.on('spawn',()=>console.log('spawn'));c.on('exit',()=>console.log('exit'));c.on('error',e=>{console.log('error',e.message,e.code,e.errno,c.exitCode);process.nextTick(()=>console.log('tick of error'));});
c.on('close',(n,s)=>console.log('close',n,s,c.kill()));c.stdin.on('close',()=>console.log('stdin close'));
