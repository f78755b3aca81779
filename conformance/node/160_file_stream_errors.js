const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');
const show=e=>e?e.code+' '+e.message.replace(d,'D'):e;
const hear=(name,s)=>{for(const e of ['open','ready','data','end','finish'])s.on(e,()=>console.log(name,e));s.on('error',e=>console.log(name,'error',show(e),e.syscall));s.on('close',()=>console.log(name,'close',s.destroyed));return s;};
const r=hear('r',fs.createReadStream(d+'/none'));
r.on('close',()=>{
 const w=hear('w',fs.createWriteStream(d+'/none/a'));w.write('lost',e=>console.log('written',show(e)));w.end(e=>console.log('ended',show(e)));
 w.on('close',()=>{
  const l=hear('l',fs.createWriteStream(d+'/late'));
  l.on('open',()=>{l.end();l.write('late',e=>console.log('late',show(e)));});
  l.on('close',()=>{l.write('later',e=>console.log('later',show(e)));l.end(e=>console.log('ended',show(e)));
   const g=hear('g',fs.createWriteStream(d+'/given'));g.on('open',()=>{g.destroy();g.write('given',e=>console.log('given',show(e)));});
   g.on('close',()=>{const i=hear('i',fs.createReadStream(d));i.on('close',()=>fs.rmSync(d,{recursive:true}));});
  });});});
