let more=true;
process.on('exit',c=>console.log('exit',c));
process.on('beforeExit',c=>{
  console.log('beforeExit',c);
  if(more){more=false;setTimeout(()=>console.log('more'),1)}
});
