// between two timers of a list: the next one is chosen before the ticks run
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
const a=setTimeout(()=>{console.log('a');process.nextTick(()=>{console.log('tick');b.refresh();clearTimeout(c)})},30);
const b=setTimeout(()=>console.log('b'),30),c=setTimeout(()=>console.log('c'),30);setTimeout(()=>console.log('d'),30);work(90);
