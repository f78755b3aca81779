process.on('exit',c=>{console.log('exit',c);process.exit(9)});process.on('exit',()=>console.log('no'));
setTimeout(()=>{throw new Error('y')},1);
