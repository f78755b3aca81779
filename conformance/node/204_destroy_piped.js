const fs=require('fs'),d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','abcdefghij');
const show=e=>e?(e.code?e.code+' ':'')+e.message.replace(d,'D'):'no error',own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),tell=name=>e=>console.log(name,show(e));
const hear=(name,s)=>{for(const e of ['open','data','end','finish','unpipe'])s.on(e,say(name+' '+e));s.on('error',tell(name+' error'));s.on('close',say(name+' close'));return s};
const S=[
 ()=>{const r=fs.createReadStream(d+'/a'),w=hear('w',fs.createWriteStream(d+'/b'));r.on('close',say('r close'));r.pipe(w);w.destroy(own)},
 ()=>{const r=hear('r',fs.createReadStream(d+'/none')),w=hear('w',fs.createWriteStream(d+'/b'));r.pipe(w);setTimeout(()=>w.destroy(),30)},
 ()=>{const r=fs.createReadStream(d+'/a'),w=hear('w',fs.createWriteStream(d+'/none/b'));r.on('error',tell('r error'));r.on('close',say('r close'));r.pipe(w);setTimeout(()=>r.destroy(own),30)},
];
const next=n=>{if(n==S.length)return fs.rmSync(d,{recursive:true});console.log('--',n);S[n]();setTimeout(next,150,n+1)};
next(0);
