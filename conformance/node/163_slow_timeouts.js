// a timeout set by a slow one waits for the next turn, however slow that was
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
let n=0;const f=()=>{console.log('t '+ ++n);setImmediate(()=>console.log('imm of '+n));if(n<4)setTimeout(f,1);work(60)};setTimeout(f,60);
