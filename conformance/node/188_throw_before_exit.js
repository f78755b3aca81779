let n=0;process.on('uncaughtException',e=>console.log('heard',e.message));
process.on('beforeExit',c=>{console.log('a',c);if(n++<2)throw new Error('x');process.exitCode=7});process.on('beforeExit',c=>console.log('b',c));
process.on('exit',c=>console.log('exit',c));
