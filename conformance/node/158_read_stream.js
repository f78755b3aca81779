const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const r=fs.createReadStream(d+'/a',{highWaterMark:4,start:1,end:8});
r.on('open',()=>{console.log('open');process.nextTick(()=>console.log('tick of open'));});r.on('ready',()=>console.log('ready'));
r.on('resume',()=>console.log('resume'));r.on('pause',()=>console.log('pause'));
let first=true;
r.on('data',b=>{console.log('data',String(b),r.bytesRead);
 if(first){first=false;process.nextTick(()=>console.log('tick of data'));Promise.resolve().then(()=>console.log('micro of data'));r.pause();console.log(r.isPaused());setTimeout(()=>{console.log('timeout');r.resume();},30);}});
r.on('end',()=>{console.log('end',r.destroyed);process.nextTick(()=>console.log('tick of end'));});
r.on('close',()=>{console.log('close',r.destroyed,r.bytesRead);
 try{fs.createReadStream(d+'/a',{start:5,end:1});}catch(e){console.log(e.code,e.message);}
 const e=fs.createReadStream(d+'/a');e.on('data',()=>console.log('never'));e.on('end',()=>console.log('never'));e.on('close',()=>{console.log('closed',e.destroyed);fs.rmSync(d,{recursive:true});});
 e.on('open',()=>e.destroy());});
console.log('main');
