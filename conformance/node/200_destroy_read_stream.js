// before it is open, while it is, and afterwards: of a file that is there and of one that is not
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
const hear=s=>{for(const e of ['open','ready','data','end'])s.on(e,say(e));s.on('error',tell('error'));s.on('close',()=>{console.log('close',s.destroyed);setTimeout(next,20)});return s};
const read=name=>hear(fs.createReadStream(d+'/'+name));
const S=[
 ['missing, for an error',()=>read('none').destroy(own)],
 ['there, for an error',()=>read('a').destroy(own)],
 ['missing',()=>read('none').destroy()],
 ['there',()=>read('a').destroy()],
 ['a directory, for an error',()=>read('.').destroy(own)],
 ['missing, in a tick',()=>{const r=read('none');process.nextTick(()=>r.destroy(own))}],
 ['there, in a tick',()=>{const r=read('a');process.nextTick(()=>r.destroy(own))}],
 ['in open',()=>{const r=read('a');r.on('open',()=>{r.destroy(own);process.nextTick(say('tick'))})}],
 ['in ready',()=>{const r=read('a');r.on('ready',()=>r.destroy(own))}],
 ['in data',()=>{const r=read('a');r.on('data',()=>{r.destroy(own);process.nextTick(say('tick'))})}],
 ['in end',()=>{const r=read('a');r.on('end',()=>r.destroy(own))}],
 ['in close',()=>{const r=read('a');r.on('close',()=>r.destroy(own))}],
 ['twice',()=>read('a').destroy(own).destroy(other)],
 ['and then for an error',()=>read('a').destroy().destroy(own)],
 ['missing, and then for an error',()=>read('none').destroy().destroy(own)],
 ['missing, in error',()=>{const r=read('none');r.on('error',()=>{r.destroy(own);process.nextTick(say('tick'))})}],
 ['in error',()=>{const r=read('a');r.on('error',()=>{r.destroy(other);process.nextTick(say('tick'));queueMicrotask(say('micro'))});r.destroy(own)}],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]()};
next();
