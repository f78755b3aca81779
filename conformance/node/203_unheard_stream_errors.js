// thrown, and then there is no 'close'
const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
process.on('uncaughtException',e=>console.log('uncaught',show(e)));
const hear=s=>{for(const e of ['open','ready','data'])s.on(e,say(e));s.on('close',say('close'));return s};
const S=[
 ()=>hear(fs.createReadStream(d+'/none')),
 ()=>hear(fs.createReadStream(d+'/a')).destroy(own),
 ()=>hear(fs.createReadStream(d+'/none')).destroy(),
 ()=>hear(fs.createWriteStream(d+'/none/b')),
 ()=>hear(fs.createWriteStream(d+'/none/b')).destroy(),
 ()=>hear(fs.createWriteStream(d+'/b')).destroy(own),
 ()=>{const r=hear(fs.createReadStream(d+'/a'));r.on('error',()=>{throw new Error('in error')});r.destroy(own)},
 ()=>{const w=hear(fs.createWriteStream(d+'/none/b'));w.on('error',tell('error'));w.write('x',()=>{throw new Error('in x')});w.write('y',()=>console.log('no'))},
 ()=>{const r=fs.createReadStream(d+'/a');r.on('open',()=>{throw new Error('in open')});r.on('ready',say('no'));r.on('data',say('data'));r.on('close',say('close'))},
];
const next=n=>{if(n==S.length)return fs.rmSync(d,{recursive:true});console.log('--',n);S[n]();setTimeout(next,100,n+1)};
next(0);
