// an interval counts from when it began to run, also if it refreshes itself
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
let n=0;const i=setInterval(()=>{console.log('i '+ ++n);if(n==3)return clearInterval(i);work(60);i.refresh();setTimeout(()=>console.log('t60'),60)},100);
