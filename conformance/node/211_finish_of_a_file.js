// a file has no final: its 'prefinish' needs no tick
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');
const write=then=>{const w=fs.createWriteStream(d+'/a');for(const e of ['prefinish','finish','close'])w.on(e,()=>console.log(e));w.on('error',e=>console.log(e.code));w.on('ready',()=>setTimeout(then,20,w))};
const S=[
 ['nothing written',()=>write(w=>{w.end();console.log('ended',w.writableFinished);w.on('finish',()=>console.log('finish, heard late'));process.nextTick(()=>console.log('tick'))})],
 ['a tick of a callback',()=>write(w=>{w.write('a',()=>{console.log('written');process.nextTick(()=>console.log('tick'))});w.end(()=>console.log('end called back'))})],
 ['ended in a callback',()=>write(w=>{w.write('a',()=>{w.end();console.log('ended');process.nextTick(()=>console.log('tick'))})})],
 ['written after the end',()=>write(w=>{process.nextTick(()=>console.log(w.write('late')));w.end()})],
 ['ended with no bytes',()=>write(w=>{w.end('');console.log(w.writableLength);process.nextTick(()=>console.log('tick'))})],
 ['destroyed in prefinish',()=>write(w=>{w.on('prefinish',()=>w.destroy());w.end('a')})],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]();setTimeout(next,200)};
next();
