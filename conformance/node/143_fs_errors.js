const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');fs.writeFileSync(d+'/a','');fs.mkdirSync(d+'/full/of',{recursive:true});
const show=e=>console.log(`${e.message} | ${e.code} ${e.errno} ${e.syscall} ${e.path||''} ${e.dest||''}`.replaceAll(d,'D').replace(/x-\w{6}/g,'x-R'));
const calls=[f=>fs.readFile(d+'/no',f),f=>fs.readFile(d,f),f=>fs.writeFile(d,'x',f),f=>fs.appendFile(d+'/a/b','x',f),f=>fs.open(d+'/a','wx',f),f=>fs.stat(d+'/no',f),f=>fs.lstat(d+'/a/b',f),
 f=>fs.readdir(d+'/no',f),f=>fs.rename(d+'/no',d+'/b',f),f=>fs.copyFile(d+'/no',d+'/b',f),f=>fs.unlink(d+'/no',f),f=>fs.unlink(d+'/full',f),f=>fs.rm(d+'/no',f),f=>fs.rmdir(d+'/full',f),
 f=>fs.mkdir(d+'/a',f),f=>fs.mkdtemp(d+'/no/x-',f),f=>fs.access(d+'/no',f),f=>fs.link(d+'/no',d+'/b',f),f=>fs.symlink('no',d+'/a',f),f=>fs.readlink(d+'/a',f),f=>fs.realpath.native(d+'/no',f)];
const next=()=>{const c=calls.shift();if(c)c(e=>{show(e);next();});else{try{fs.watch(d+'/no')}catch(e){show(e)}fs.rmSync(d,{recursive:true});}};next();
