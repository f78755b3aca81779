//! An echo server in the async style: `cargo run --example echo_async`, then `telnet localhost
//! 8080`.

use oneloop::aio::{TcpListener, block_on, spawn};

fn main() -> std::io::Result<()> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:8080")?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            spawn(async move {
                while let Some(chunk) = stream.read_chunk().await? {
                    stream.write_all(&chunk).await?;
                }
                std::io::Result::Ok(())
            });
        }
    })
}
