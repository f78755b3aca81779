const{exec,execFile}=require('child_process');
exec('echo out; echo err >&2',(e,o,r)=>{console.log(e,JSON.stringify(o),JSON.stringify(r));
exec('echo out; echo err >&2; exit 2',(e,o,r)=>{console.log(JSON.stringify(e.message),e.code,e.killed,e.signal,e.cmd,JSON.stringify(o),JSON.stringify(r));
execFile('sh',['-c','kill -9 $$'],(e,o,r)=>{console.log(JSON.stringify(e.message),e.code,e.killed,e.signal,e.cmd);
execFile('/nowhere/program',['a'],(e,o,r)=>{console.log(e.message,e.code,e.killed,e.cmd,JSON.stringify(o));});});});});
