process.on('exit',c=>{console.log('a',c);throw new Error('x')});process.on('exit',()=>console.log('no'));
setTimeout(()=>{throw new Error('y')},1);
