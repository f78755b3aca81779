// a socket's, a server's, a signal's: here the last one comes first
process.on('exit',c=>console.log('exit',c));
const s=require('net').createServer(c=>{console.log('connection');process.on('SIGUSR2',()=>{console.log('signal');process.exit(3)});process.kill(process.pid,'SIGUSR2')}).listen(0,()=>require('net').connect(s.address().port));
