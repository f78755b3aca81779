//! The server behind a tortured proxy: it echoes, on threads of this process.

use anyhow::Result;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Starts to echo on a free port. All cases share one server, for as long as this program runs.
pub(crate) fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || echo(client));
        }
    });
    Ok(addr)
}

/// Echoes to the end of the input. A proxy that resets the connection ends this, too.
fn echo(mut client: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; 1 << 16];
    loop {
        let count = client.read(&mut buf)?;
        if count == 0 {
            return client.shutdown(Shutdown::Write);
        }
        client.write_all(&buf[..count])?;
    }
}
