// exit code 7, without 'exit'
process.on('uncaughtException',()=>{throw new Error('in handler')});
process.on('exit',c=>console.log('exit',c));
setTimeout(()=>{throw new Error('boom')},1);
