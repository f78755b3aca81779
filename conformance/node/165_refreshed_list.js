// a list stays where it was until its first timer is looked at: b is due first and runs second
const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
const a=setTimeout(()=>console.log('a'),100);work(40);a.refresh();const b=setTimeout(()=>console.log('b'),80);work(300);
setTimeout(()=>console.log('c'),1);
