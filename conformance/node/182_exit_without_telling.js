// a second exit tells nothing
let n=0;process.on('uncaughtException',e=>console.log('heard',e.message));
process.on('exit',c=>{console.log('a',c);if(n++==0)throw new Error('x')});
setTimeout(()=>{setTimeout(()=>{console.log('timer');process.exit(8)},1);process.exit(4)},1);
