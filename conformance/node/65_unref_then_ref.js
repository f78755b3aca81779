const t=setTimeout(()=>console.log('waited for'),60);
t.unref();t.ref();console.log(t.hasRef());
const u=setTimeout(()=>console.log('never'),1000).unref();
setImmediate(()=>{u.ref();u.unref();console.log(u.hasRef())});
