const work=ms=>{const e=performance.now()+ms;while(performance.now()<e);};
const {setTimeout:sleep,setImmediate:immediate}=require('timers/promises');
(async()=>{for(let k=1;k<4;k++){await sleep(3);console.log('slept',k);work(20);setImmediate(()=>console.log('imm',k))}
 for(let k=1;k<4;k++){await immediate();console.log('immediate',k);setTimeout(()=>console.log('t',k),1);work(20)}})();
