// a pass runs what was due when it began: the loop turns before what became due meanwhile
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
setTimeout(()=>{console.log('A');setImmediate(()=>console.log('imm'));setTimeout(()=>console.log('C'),1);work(200)},80);
setTimeout(()=>console.log('B'),200);
