//! TLS under chaos: the bytes are exact, or an error is reported.

use crate::harness::{acceptor, bytes, connector};
use oneloop::EventLoop;
use oneloop::aio::{TcpListener, TcpStream, UnixStream, join, spawn, timeout};
use oneloop::chaos::{Plan, check, check_plans};
use oneloop::net::{ReadHalf, WriteHalf};
use std::io;
use std::time::Duration;

const SEEDS: u64 = 100;

/// Sends bytes to an echo server behind TLS, and compares what comes back.
async fn echoed<S: ReadHalf + WriteHalf + 'static>(client: S, server: S) -> io::Result<()> {
    let serving = spawn(async move {
        let stream = acceptor().accept(server).await?;
        while let Some(chunk) = stream.read_chunk().await? {
            stream.write_all(&chunk).await?;
        }
        stream.shutdown().await
    });
    let client = connector().connect("localhost", client).await?;
    let sent = bytes(100_000);
    let writing = async {
        client.write_all(&sent).await?;
        client.shutdown().await
    };
    let (written, received) = join(writing, client.read_all(1 << 20)).await;
    written?;
    assert!(received? == sent);
    serving.await?
}

async fn over_tcp() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _peer) = timeout(Duration::from_secs(60), listener.accept()).await??;
    echoed(client, server).await
}

async fn over_unix() -> io::Result<()> {
    let (client, server) = UnixStream::pair()?;
    echoed(client, server).await
}

#[test]
fn bytes_are_exact() {
    check(0..SEEDS, |event_loop: &mut EventLoop| {
        event_loop.block_on(over_unix()).unwrap();
    });
}

#[test]
fn bytes_are_exact_or_an_error_is_reported() {
    check_plans((0..SEEDS).map(Plan::with_failures), |event_loop| {
        drop(event_loop.block_on(over_tcp()));
    });
}
