const dns=require('dns');
dns.lookup('127.0.0.1',(e,a)=>{console.log('literal',a);Promise.resolve().then(()=>console.log('micro'));process.nextTick(()=>console.log('late tick'))});
process.nextTick(()=>console.log('tick'));
dns.lookup('::1',{all:true},(e,a)=>console.log('all',a.map(a=>a.address).join()));
console.log('sync');
function names(){dns.lookup('localhost',{family:4},(e,a)=>{console.log('localhost',a);
  process.nextTick(()=>console.log('tick in lookup'));Promise.resolve().then(()=>console.log('micro in lookup'));missing()})}
function missing(){dns.lookup('no such name',(e,a)=>{console.log(e.code,e.errno,e.syscall,e.hostname,e.message);service()})}
function service(){dns.lookupService('127.0.0.1',0,(e,h,s)=>{console.log('service',h.split('.')[0],s);promised()})}
async function promised(){console.log('promise',(await dns.promises.lookup('localhost',{family:4})).address);
  try{await dns.promises.lookup('no such name')}catch(e){console.log('rejected',e.code)}}
setTimeout(names,1);
process.on('exit',()=>console.log('exit'));
