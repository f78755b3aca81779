const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
process.on('uncaughtException',e=>console.log('heard',e.message));
setTimeout(()=>{console.log('A');setImmediate(()=>console.log('imm'));process.nextTick(()=>console.log('tick'));setTimeout(()=>console.log('C'),1);work(200);throw new Error('x')},80);
setTimeout(()=>console.log('A2'),80);setTimeout(()=>console.log('B'),200);work(120);
