//! The tokio comparator: one thread, one task for each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger than the benchmarked messages, so that a short read tells tokio that the socket is empty.
const BUFFER_BYTES: usize = 32 * 1024;

/// Echoes on `address` until the process ends.
pub(crate) fn serve(address: SocketAddr) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(accept_all(address))
}

async fn accept_all(address: SocketAddr) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(echo(stream))),
            // Out of descriptors, most likely: some will have closed in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A broken connection ends its own task and nothing else, so the error goes nowhere.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Not zeroed: only the pages that were read into cost memory.
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while stream.read_buf(&mut buffer).await? > 0 {
        stream.write_all(&buffer).await?;
        buffer.clear();
    }
    Ok(())
}
