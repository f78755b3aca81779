// exit code 1; nothing else runs
process.on('exit',c=>console.log('exit',c));
process.on('beforeExit',()=>console.log('never'));
setTimeout(()=>{throw new Error('boom')},1);
setTimeout(()=>console.log('never'),1);
