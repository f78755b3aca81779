process.on('beforeExit',c=>{console.log('a',c);process.exitCode=2});process.on('beforeExit',c=>{console.log('b',c);process.exit(8)});process.on('beforeExit',()=>console.log('no'));
process.on('exit',c=>console.log('exit',c));
