const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
let n=0,m=0;const a=setInterval(()=>{console.log('a '+ ++n);work(60);if(n==4)clearInterval(a);setImmediate(()=>console.log('imm'))},40);
const b=setInterval(()=>{console.log('b '+ ++m);work(60);if(m==4)clearInterval(b)},75);
