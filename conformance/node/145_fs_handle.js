const fs=require('fs');const d=fs.mkdtempSync(require('os').tmpdir()+'/fs-');const ok=f=>(e,...a)=>{if(e)throw e;f(...a)};
fs.open(d+'/a','w+',ok(h=>fs.write(h,'0123456789',ok(n=>{console.log('wrote',n);
 fs.read(h,Buffer.alloc(4),0,4,2,ok((n,b)=>{console.log('read',n,String(b));
 fs.write(h,'xy',3,ok(n=>{fs.write(h,'end',ok(()=>{fs.read(h,Buffer.alloc(20),0,20,0,ok((n,b)=>{console.log(n,String(b.subarray(0,n)));
 fs.read(h,Buffer.alloc(4),0,4,null,ok(n=>{console.log('at the end',n);
 fs.ftruncate(h,5,ok(()=>fs.fsync(h,ok(()=>fs.fstat(h,ok(s=>{console.log('size',s.size);
 fs.close(h,ok(()=>{fs.read(h,Buffer.alloc(4),0,4,0,e=>{console.log(e.message,e.code,e.syscall);
 fs.exists(d+'/a',y=>{console.log(y);fs.exists(d+'/no',y=>{console.log(y);fs.rmSync(d,{recursive:true});});});});}));}))))));}));}));}));}));}));}))));
