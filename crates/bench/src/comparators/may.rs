//! The may comparator: stackful coroutines, one worker thread, one coroutine for each connection.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use may::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 32 * 1024;

/// Makes one thread run all coroutines, on whichever CPU this process may use.
pub(crate) fn use_one_thread() {
    may::config().set_workers(1).set_worker_pin(false);
}

/// Echoes on `address` until the process ends.
pub(crate) fn serve(address: SocketAddr) -> io::Result<Infallible> {
    use_one_thread();
    let server = may::go!(move || accept_all(address));
    server
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the accepting coroutine panicked")))
}

fn accept_all(address: SocketAddr) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(may::go!(move || echo(stream))),
            // Out of descriptors, most likely: some will have closed in a moment.
            Err(_) => may::coroutine::sleep(Duration::from_millis(50)),
        }
    }
}

/// A broken connection ends its own coroutine and nothing else, so the error goes nowhere.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}
