const{spawn}=require('child_process');const c=spawn('sleep',['2'],{stdio:'ignore',detached:true});
c.on('exit',()=>console.log('exit'));c.unref();process.on('exit',n=>console.log('exit of the program',n,c.exitCode));
