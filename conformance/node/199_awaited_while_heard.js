// the handler of uncaught errors begins to wait for the next one that is to be reported
process.on('uncaughtException',(e,o)=>{console.log('heard',e.message,o);if(e.message=='a')hear('late',b)});
const fail=m=>(async()=>{throw new Error(m)})();
const hear=async(name,p)=>{try{await p}catch(e){console.log(name,e.message)}};
const a=fail('a'),b=fail('b');
