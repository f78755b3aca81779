const fs=require('fs'),readline=require('readline');const d=fs.mkdtempSync(require('os').tmpdir()+'/lines-');
fs.writeFileSync(d+'/a',Buffer.concat([Buffer.from('one\ntwo\r\n\r\nthree\rfour\r\r\n\nfünf €\r\n'),Buffer.from([0x61,0xff,0x62,0x0a]),Buffer.from('last')]));
fs.writeFileSync(d+'/b','ends\n');fs.writeFileSync(d+'/c','');fs.writeFileSync(d+'/d','return\r');
function lines(name,n,next){console.log('--',name,n);const input=fs.createReadStream(d+'/'+name,{highWaterMark:n});
 const rl=readline.createInterface({input,crlfDelay:Infinity});
 rl.on('line',l=>{console.log(JSON.stringify(l));process.nextTick(()=>console.log('tick'));});
 input.on('end',()=>console.log('end'));input.on('close',()=>{console.log('close');next();});}
const runs=[];for(let n=1;n<=64;n+=n<16?1:12)runs.push(['a',n]);for(const name of 'bcd')runs.push([name,1],[name,64]);
function go(){const r=runs.shift();if(r)lines(r[0],r[1],go);else fs.rmSync(d,{recursive:true});}
go();
