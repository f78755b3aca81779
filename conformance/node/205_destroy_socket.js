// while it connects, afterwards, and never connected
const net=require('net');
const show=e=>(e.code?e.code+' ':'')+e.message.replace(/:\d+/g,':P'),own=new Error('own'),other=new Error('other');
const say=line=>()=>console.log(line),later=()=>{process.nextTick(say('tick'));queueMicrotask(say('micro'));setImmediate(say('imm'))};
const hear=s=>{for(const e of ['connect','ready','data','end','finish'])s.on(e,say(e));s.on('error',e=>console.log('error',show(e)));s.on('close',h=>console.log('close',!!h));return s};
const server=net.createServer(c=>{c.on('error',()=>{});c.write('hi');c.resume()});
const open=()=>hear(net.connect(server.address().port,'127.0.0.1')),refused=()=>hear(net.connect(1,'127.0.0.1'));
const S=[
 ['connecting',()=>{open().destroy();later()}],
 ['connecting, for an error',()=>{open().destroy(own);later()}],
 ['refused, for an error',()=>{refused().destroy(own);later()}],
 ['refused, in a tick',()=>{const c=refused();process.nextTick(()=>c.destroy(own));later()}],
 ['written',()=>{const c=open();c.write('x',e=>console.log('x',show(e)));c.destroy(own);later()}],
 ['twice',()=>{open().destroy(own).destroy(other);later()}],
 ['and then for an error',()=>{open().destroy().destroy(own);later()}],
 ['in connect',()=>{const c=open();c.on('connect',()=>{c.destroy(own);later()})}],
 ['in data',()=>{const c=open();c.on('data',()=>{c.destroy(own);later()})}],
 ['in error',()=>{const c=refused();c.on('error',()=>{c.destroy(own);later()})}],
 ['in close',()=>{const c=refused();c.on('close',()=>{c.destroy(own);later()})}],
 ['never connected',()=>{hear(new net.Socket()).destroy();later()}],
 ['never connected, for an error',()=>{hear(new net.Socket()).destroy(own);later()}],
 ['unheard',()=>{const c=net.connect(server.address().port,'127.0.0.1');c.on('close',h=>console.log('close',h));c.destroy(own);later()}],
 ['throws',()=>{const c=net.connect(server.address().port,'127.0.0.1');c.on('error',()=>{throw new Error('in error')});c.on('close',h=>console.log('close',h));c.destroy(own);later()}],
];
process.on('uncaughtException',e=>console.log('uncaught',show(e)));
const next=()=>{const s=S.shift();if(!s)return server.close();console.log('-- '+s[0]);s[1]();setTimeout(next,60)};
server.listen(0,'127.0.0.1',next);
