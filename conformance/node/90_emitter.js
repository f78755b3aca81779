const EE=require('events');const e=new EE();
e.on('x',v=>console.log('1',v));e.prependListener('x',v=>console.log('0',v));e.once('x',v=>console.log('once',v));
const off=v=>console.log('off',v);e.on('x',v=>{e.off('x',off);e.on('x',w=>console.log('late',w));});e.on('x',off);
console.log(e.emit('x','a'),e.listenerCount('x'));console.log(e.emit('x','b'));console.log(e.emit('y'));
try{e.emit('error',new Error('unheard'))}catch(er){console.log('thrown',er.message)}
e.on('error',er=>console.log('heard',er.message));e.emit('error',new Error('now'));
e.removeAllListeners('x');console.log(e.emit('x','c'));
