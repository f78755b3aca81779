const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','bytes');
fs.readFile(d+'/a',(e,b)=>{console.log('read',String(b));process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro'));setImmediate(()=>{console.log('immediate in read');
 fs.stat(d+'/a',(e,s)=>{console.log('stat',s.size,s.isFile());setImmediate(()=>console.log('immediate in stat'));Promise.resolve().then(()=>console.log('micro in stat'));process.nextTick(()=>console.log('tick in stat'));fs.rmSync(d,{recursive:true});});});
 process.nextTick(()=>console.log('tick 2'));});
setImmediate(()=>console.log('immediate'));process.nextTick(()=>console.log('first tick'));console.log('main');
