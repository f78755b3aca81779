// within a turn: poll, check, close, timers
setTimeout(()=>{
  setTimeout(()=>console.log('A'),30);
  setImmediate(()=>{console.log('B');setTimeout(()=>console.log('C'),30)});
},0);
