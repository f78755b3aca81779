// the ends of a child's pipes are sockets in Node
const own=new Error('own'),say=line=>()=>console.log(line);
const hear=(name,s)=>{for(const e of ['end','finish'])s.on(e,say(name+' '+e));s.on('error',e=>console.log(name,'error',e.message));s.on('close',say(name+' close'));return s};
const later=()=>{process.nextTick(say('tick'));queueMicrotask(say('micro'));setImmediate(say('imm'))};
const S=[
 (done)=>{const c=require('child_process').spawn('sleep',['0.2']);c.on('close',done);hear('out',c.stdout).destroy(own);later()},
 (done)=>{const c=require('child_process').spawn('sleep',['0.2']);c.on('close',done);hear('out',c.stdout).destroy().destroy(own);later()},
 (done)=>{const c=require('child_process').spawn('sleep',['0.2']);c.on('close',done);hear('in',c.stdin).destroy(own);later()},
 (done)=>{const c=require('child_process').spawn('cat');c.on('close',done);const o=hear('out',c.stdout);o.on('data',()=>{console.log('out data');o.destroy(own);c.stdin.end();later()});c.stdin.write('x')},
];
const next=n=>{if(n==S.length)return;console.log('--',n);S[n](()=>{console.log('child closed');setTimeout(next,50,n+1)})};
next(0);
