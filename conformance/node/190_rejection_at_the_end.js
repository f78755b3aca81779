process.on('exit',c=>{console.log('a',c);(async()=>{throw new Error('late')})()});process.on('exit',c=>console.log('b',c));
