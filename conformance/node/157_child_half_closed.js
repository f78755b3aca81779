const{spawn}=require('child_process');const c=spawn('sh',['-c','exec >&-; read line; exit 5'],{stdio:['pipe','pipe','ignore']});
c.stdout.on('end',()=>{console.log('end',c.exitCode);c.stdin.write('line\n');});c.stdout.on('data',()=>{});c.stdout.on('close',()=>console.log('stdout close'));
c.on('exit',(n,s)=>{console.log('exit',n,s,c.stdin.destroyed);});c.on('close',(n,s)=>console.log('close',n,s));c.stdin.on('close',h=>console.log('stdin close',h));
