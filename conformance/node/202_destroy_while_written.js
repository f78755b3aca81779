// a thread is at the first write: it is waited for
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
const write=use=>{const w=fs.createWriteStream(d+'/b');w.on('finish',say('finish'));w.on('error',tell('error'));
 w.on('close',()=>{console.log('close',w.bytesWritten,fs.readFileSync(d+'/b','utf8'));setTimeout(next,20)});w.on('ready',()=>setTimeout(()=>{use(w);process.nextTick(say('tick'))},20))};
const S=[
 ['plain',w=>{w.write('x',tell('x'));w.write('y',tell('y'));w.destroy()}],
 ['for an error',w=>{w.write('x',tell('x'));w.write('y',tell('y'));w.end(tell('end'));w.destroy(own)}],
 ['without callbacks',w=>{w.write('x');w.destroy()}],
 ['after the end',w=>{w.write('x',tell('x'));w.end('z');w.write('y',tell('y'))}],
 ['twice',w=>{w.write('x',tell('x'));w.destroy().destroy(own)}],
 ['idle',w=>w.destroy()],
 ['idle, for an error',w=>w.destroy(own)],
];
const next=()=>{const s=S.shift();if(!s)return fs.rmSync(d,{recursive:true});console.log('-- '+s[0]);write(s[1])};
next();
