// the call of exit throws: the program goes on, without new ticks, and tells its end anew
let n=0;process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
process.on('exit',c=>{console.log('a',c);if(n++==0)throw new Error('x')});process.on('exit',c=>console.log('b',c));
setTimeout(()=>{process.nextTick(()=>console.log('tick'));setImmediate(()=>console.log('imm'));
 setTimeout(()=>{console.log('timer');process.nextTick(()=>console.log('no'));queueMicrotask(()=>console.log('micro'))},30);process.exit(4)},1);
