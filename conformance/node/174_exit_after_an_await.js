// in the microtasks of a timer; an emitter and an abort are on the stack of the one that exits
const E=require('events'),e=new E(),a=new AbortController();
process.on('exit',c=>console.log('exit',c));
e.on('x',()=>{console.log('one');a.abort();console.log('no')});e.on('x',()=>console.log('no'));
a.signal.addEventListener('abort',()=>{console.log('abort');process.exit(3)});
(async()=>{await require('timers/promises').setTimeout(1);console.log('slept');e.emit('x');console.log('no')})();
