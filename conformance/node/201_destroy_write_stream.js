const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
const hear=s=>{for(const e of ['open','ready','finish'])s.on(e,say(e));s.on('error',tell('error'));s.on('close',()=>{console.log('close',s.destroyed);setTimeout(next,20)});return s};
const write=name=>hear(fs.createWriteStream(d+'/'+name));
const S=[
 ['missing, for an error',()=>write('none/b').destroy(own)],
 ['there, for an error',()=>write('b').destroy(own)],
 ['missing',()=>write('none/b').destroy()],
 ['there',()=>write('b').destroy()],
 ['not there before',()=>{const w=write('new');w.on('close',()=>console.log(fs.existsSync(d+'/new')));w.destroy()}],
 ['written, there',()=>{const w=write('b');w.write('x',tell('x'));w.end(tell('end'));w.destroy();process.nextTick(say('tick'))}],
 ['written, there, for an error',()=>{const w=write('b');w.write('x',tell('x'));w.write('y',tell('y'));w.end(tell('end'));w.destroy(own)}],
 ['written, missing',()=>{const w=write('none/b');w.write('x',tell('x'));w.end(tell('end'));w.destroy()}],
 ['written, missing, for an error',()=>{const w=write('none/b');w.write('x',tell('x'));w.destroy(own)}],
 ['in a tick',()=>{const w=write('b');process.nextTick(()=>w.destroy(own))}],
 ['in open',()=>{const w=write('b');w.on('open',()=>w.destroy(own))}],
 ['written, in open',()=>{const w=write('b');w.write('x',tell('x'));w.on('open',()=>w.destroy(own))}],
 ['written, in ready',()=>{const w=write('b');w.on('ready',()=>{w.write('x',tell('x'));w.destroy()})}],
 ['when written',()=>{const w=write('b');w.write('x',e=>{tell('x')(e);w.destroy(own)})}],
 ['in finish',()=>{const w=write('b');w.end('x');w.on('finish',()=>w.destroy(own))}],
 ['in close',()=>{const w=write('b');w.end('x');w.on('close',()=>w.destroy(own))}],
 ['twice',()=>write('b').destroy(own).destroy(other)],
 ['in error',()=>{const w=write('b');w.on('error',()=>w.destroy(other));w.destroy(own)}],
 ['ended, missing',()=>write('none/b').end()],
 ['written afterwards',()=>{const w=write('b');w.destroy(own);console.log(w.write('x',tell('x')));w.end(tell('end'))}],
 ['written after the end',()=>{const w=write('b');w.end('x');w.write('y',tell('y'))}],
 ['written after the end, missing',()=>{const w=write('none/b');w.end('x');w.write('y',tell('y'))}],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);s[1]()};
next();
