// it starves neither I/O nor immediates
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
let n=0;
const s=require('net').createServer(c=>c.on('data',d=>{console.log('data '+d);c.end()})).listen(0,()=>{
 const i=setInterval(()=>{n++;work(7)},3);
 let k=0;const imm=()=>{console.log('imm '+ ++k);if(k<3)setImmediate(imm)};
 const c=require('net').connect(s.address().port,()=>{console.log('connect');c.write('hi')});c.resume();
 c.on('close',()=>{console.log('close');setImmediate(imm);
  setTimeout(()=>{console.log('timeout');clearInterval(i);s.close(()=>console.log('closed',n>2))},50)});
});
