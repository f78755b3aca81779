const{exec,execFile}=require('child_process');
execFile('seq',['100000'],{maxBuffer:10},(e,o)=>{console.log(e.message,e.code,e.killed,e.cmd,JSON.stringify(o));
exec('echo begun; exec sleep 60',{timeout:300},(e,o)=>{console.log(JSON.stringify(e.message),e.code,e.killed,e.signal,JSON.stringify(o));
exec('printf 12345',{maxBuffer:5},(e,o)=>console.log(e,o));});});
