// what a listener of 'exit' throws rejects the promise of the async function that exits
let n=0;process.on('uncaughtException',(e,o)=>console.log('heard',e.message,o));
process.on('exit',c=>{console.log('a',c);if(n++==0)throw new Error('x')});
(async()=>{await null;process.exit(3)})();queueMicrotask(()=>console.log('micro'));
