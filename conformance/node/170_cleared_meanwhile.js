const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
setTimeout(()=>{console.log('A');work(150);setImmediate(()=>{console.log('imm');clearTimeout(b)})},60);
const b=setTimeout(()=>console.log('never'),120);setTimeout(()=>console.log('C'),140);
