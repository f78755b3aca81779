// sockets that are closed while they are bound, while they connect, and while they send
const dgram=require('dgram'),show=e=>e?e.code+' '+e.syscall:'no error',tell=name=>e=>console.log(name,show(e)),say=line=>()=>console.log(line);
const make=()=>{const s=dgram.createSocket('udp4');for(const e of ['listening','connect','close'])s.on(e,say(e));s.on('error',tell('error'));s.on('message',m=>console.log('message '+m));return s};
const attempt=(name,f)=>{try{f();console.log(name,'went on')}catch(e){console.log(name,e.code)}},here='127.0.0.1',nowhere='192.0.2.1';
const S=[
 ['bound',()=>{const s=make();s.bind(0);s.close();process.nextTick(say('tick'));setImmediate(say('imm'));attempt('again',()=>s.close())}],
 ['never bound',()=>{const s=make();s.close(say('closed'));attempt('bind',()=>s.bind(0));attempt('send',()=>s.send('x',1));attempt('again',()=>s.close(say('twice')))}],
 ['bound by name',()=>{const s=make();s.bind(0,'localhost');s.close()}],
 ['sending',()=>{const s=make();s.send('x',9,here,tell('sent'));s.close(say('closed'));attempt('send',()=>s.send('y',9,tell('late')))}],
 ['sending, bound',()=>{const s=make();s.bind(0,here,()=>{s.send('x',9,here,tell('sent'));s.close();console.log('end')})}],
 ['connecting',()=>{const s=make();s.connect(9,here,tell('connected'));s.close(say('closed'));attempt('send',()=>s.send('x'))}],
 ['connecting, bound',()=>{const s=make();s.bind(0,()=>{s.connect(9,here,tell('connected'));s.close(say('closed'))})}],
 ['cannot be bound',()=>{const s=make();s.bind(0,nowhere,say('no'));s.close(say('closed'))}],
 ['cannot be bound, sending',()=>{const s=make();s.bind(0,nowhere);s.send('x',9,here,tell('no'));s.once('error',()=>attempt('close',()=>s.close(say('closed'))))}],
 ['cannot be bound, and then can',()=>{const s=make();s.bind(0,nowhere);s.once('error',()=>attempt('bind',()=>s.bind(0,here,()=>s.close())))}],
 ['in a message',()=>{const s=make();let n=0;s.on('message',()=>{if(++n==2){s.close();process.nextTick(say('tick'));setImmediate(say('imm'))}});
  s.bind(0,here,()=>{for(const x of 'abc')s.send(x,s.address().port,here)})}],
 ['queued behind a peer',()=>{const s=make();s.connect(9,here,tell('connected'));s.send('x',9,here,e=>{tell('sent')(e);s.close()})}],
];
process.on('uncaughtException',e=>console.log('uncaught',e.code));
const next=()=>{const s=S.shift();if(!s)return;console.log('-- '+s[0]);s[1]();setTimeout(next,50)};
next();
