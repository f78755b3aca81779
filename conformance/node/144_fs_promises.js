const fs=require('fs/promises');(async()=>{const d=await fs.mkdtemp(require('os').tmpdir()+'/fs-');setImmediate(()=>console.log('immediate'));
 await fs.writeFile(d+'/a','hello');console.log('written');process.nextTick(()=>console.log('tick'));Promise.resolve().then(()=>console.log('micro'));
 await fs.appendFile(d+'/a',', world');console.log(String(await fs.readFile(d+'/a')),(await fs.stat(d+'/a')).size);
 await fs.rename(d+'/a',d+'/b');await fs.copyFile(d+'/b',d+'/c');console.log(await fs.readdir(d));
 try{await fs.readFile(d+'/a')}catch(e){console.log(e.message.replace(d,'D'))}
 await fs.unlink(d+'/b');await fs.rm(d+'/no',{force:true});await fs.mkdir(d+'/x/y',{recursive:true});await fs.mkdir(d+'/x/y',{recursive:true});
 try{await fs.rmdir(d)}catch(e){console.log(e.code)}
 await fs.rm(d,{recursive:true});try{await fs.access(d)}catch(e){console.log(e.message.replace(d,'D'))}})();console.log('main');
