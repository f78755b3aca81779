// 'resume' is told once in the next tick, also if the stream was paused or given up meanwhile
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const read=()=>{const r=fs.createReadStream(d+'/a');for(const e of ['pause','resume','end','close'])r.on(e,()=>console.log(e));return r};
const S=[
 ['paused',()=>{const r=read();r.resume().pause();setTimeout(()=>r.destroy(),20)}],
 ['paused twice',()=>{const r=read();r.resume().pause().resume().pause();setTimeout(()=>r.destroy(),20)}],
 ['paused, and resumed',()=>{read().resume().pause().resume()}],
 ['given up',()=>{read().resume().destroy()}],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]();setTimeout(next,200)};
next();
