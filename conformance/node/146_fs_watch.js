const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/old','');
const w=fs.watch(d,(t,n)=>{console.log(t,n);if(n==='last'){w.close();console.log('closed');setImmediate(()=>fs.rmSync(d,{recursive:true}));}});
w.on('close',()=>console.log('close'));const next=f=>e=>{if(e)throw e;setImmediate(f)};
fs.appendFile(d+'/old','more',next(()=>fs.chmodSync(d+'/old',0o600)||fs.rename(d+'/old',d+'/new',next(()=>fs.unlink(d+'/new',next(()=>fs.mkdir(d+'/last',next(()=>{}))))))));
