let n=0;
const i=setInterval(()=>{console.log('i',++n);if(n==3)clearInterval(i)},60);
const r=setTimeout(()=>console.log('refreshed'),100);
setTimeout(()=>r.refresh(),50);
setTimeout(()=>console.log('negative is 1'),-5);
