//! What the tests of several crates share.

use oneloop::aio::{TcpListener, TcpStream};
use oneloop::{EventLoop, Options};
use std::future::Future;

/// Runs a future on a new loop in virtual time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    EventLoop::with(Options::virtual_time())
        .unwrap()
        .block_on(future)
}

/// The two ends of a TCP connection: the client, and what the server has accepted.
pub(crate) async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    (client.unwrap(), listener.accept().await.unwrap().0)
}
