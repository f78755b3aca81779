const a=setTimeout(()=>{console.log('a');clearTimeout(b)},30);
const b=setTimeout(()=>console.log('b'),30);
const c=setTimeout(()=>{console.log('c');clearTimeout(a);clearTimeout(c)},30);
setTimeout(()=>console.log('d'),30);
