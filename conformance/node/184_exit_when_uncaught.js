process.on('uncaughtException',(e,o)=>{console.log('heard',e.message,o);if(e.message=='b')process.exit(6)});process.on('exit',c=>console.log('exit',c));
for(const m of ['a','b','c'])(async()=>{throw new Error(m)})();
