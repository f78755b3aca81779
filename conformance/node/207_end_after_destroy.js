// without an error, and with nothing that waited, nobody hears of an end that comes after destroy
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
const hear=s=>{for(const e of ['open','ready','finish'])s.on(e,say(e));s.on('error',tell('error'));s.on('close',()=>{console.log('close',s.destroyed);setTimeout(next,20)});return s};
const write=name=>hear(fs.createWriteStream(d+'/'+name)),end=w=>{w.end(tell('one'));w.end(tell('two'));w.write('x',tell('x'))};
const S=[
 ['there',()=>end(write('b').destroy())],
 ['missing',()=>end(write('none/b').destroy())],
 ['for an error',()=>end(write('b').destroy(own))],
 ['in open',()=>{const w=write('b');w.on('open',()=>end(w.destroy()))}],
 ['in close',()=>{const w=write('b');w.on('close',()=>end(w));w.destroy()}],
 ['in close, for an error',()=>{const w=write('b');w.on('close',()=>end(w));w.destroy(own)}],
 ['in close, missing',()=>{const w=write('none/b');w.on('close',()=>end(w))}],
 ['written',()=>{const w=write('b');w.write('y',tell('y'));end(w.destroy())}],
 ['written, and nobody hears',()=>{const w=write('b');w.write('y');end(w.destroy())}],
 ['written, in the next tick',()=>{const w=write('b');w.write('y',tell('y'));w.destroy();process.nextTick(()=>end(w))}],
 ['written, in open',()=>{const w=write('b');w.on('open',()=>{w.write('y',tell('y'));w.write('z',tell('z'));end(w.destroy())})}],
 ['ended before',()=>{const w=write('b');w.end(tell('before'));end(w.destroy())}],
 ['finished before',()=>{const w=write('b');w.on('finish',()=>end(w.destroy()));w.end()}],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]()};
next();
