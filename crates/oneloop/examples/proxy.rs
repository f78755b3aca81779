//! A proxy in a screenful: `cargo run --example proxy -- 127.0.0.1:8081 example.org:80`.

use oneloop::aio::{TcpListener, TcpStream, block_on, relay, spawn};
use std::io;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (args.next(), args.next()) else {
        eprintln!("usage: proxy LISTEN UPSTREAM, each as HOST:PORT");
        std::process::exit(2);
    };
    block_on(async {
        let listener = TcpListener::bind(&listen)?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (client, peer) = listener.accept().await?;
            let upstream = upstream.clone();
            spawn(async move {
                match pass(&client, &upstream).await {
                    Ok((there, back)) => println!("{peer}: {there} bytes there, {back} back"),
                    Err(error) => println!("{peer}: {error}"),
                }
            });
        }
    })
}

async fn pass(client: &TcpStream, upstream: &str) -> io::Result<(u64, u64)> {
    let upstream = TcpStream::connect(upstream).await?;
    let relayed = relay(client, &upstream).await?;
    Ok((relayed.there, relayed.back))
}
