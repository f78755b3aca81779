process.on('uncaughtException',e=>console.log('caught',e.message));
let n=0;
const i=setInterval(()=>{console.log('i',++n);if(n==2)clearInterval(i);throw new Error('x')},30);
