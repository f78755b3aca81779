// 'readable' and read(): all at once, in pieces, and with a rest at the end
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=b=>b===null?'null':String(b);
const read=o=>{const r=fs.createReadStream(d+'/a',o);for(const e of ['pause','resume','end','close'])r.on(e,()=>console.log(e));return r};
const S=[
 ['all',()=>{const r=read();r.on('readable',()=>console.log('readable',show(r.read())))}],
 ['in pieces',()=>{const r=read();r.on('readable',()=>{console.log('readable',r.readableLength);let b;while((b=r.read(4))!==null)console.log(show(b))})}],
 ['beyond the mark',()=>{const r=read({highWaterMark:4});r.on('readable',()=>{console.log('readable',r.readableLength);let b;while((b=r.read(6))!==null)console.log(show(b),r.readableHighWaterMark)})}],
 ['once, and then flowing',()=>{const r=read();console.log(show(r.read()),r.readableFlowing);r.once('readable',()=>{console.log('once',show(r.read(3)),r.readableLength,r.readableFlowing);r.resume()})}],
 ['with data',()=>{const r=read();r.on('data',b=>console.log('data',show(b)));r.on('readable',()=>{console.log('readable',r.readableFlowing);r.read(6);r.read()})}],
 ['the listener is removed',()=>{const r=read(),f=()=>console.log('never');r.on('readable',f);r.off('readable',f);r.on('data',b=>console.log('data',show(b)))}],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]();setTimeout(next,200)};
next();
