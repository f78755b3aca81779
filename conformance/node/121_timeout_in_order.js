setTimeout(()=>console.log('a'),90);setTimeout(()=>{console.log('b');setTimeout(()=>console.log('b2'),120);},30);const i=setInterval(()=>console.log('i'),60);setTimeout(()=>clearInterval(i),210);
setTimeout(()=>console.log('overflow'),2**31);setTimeout(()=>console.log('nan'),NaN);setTimeout(()=>console.log('infinite'),Infinity);setTimeout(()=>console.log('fraction'),1.9);
