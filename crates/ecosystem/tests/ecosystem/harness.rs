//! What the tests of several crates share.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use oneloop::aio::hyper::LoopExecutor;
use oneloop::aio::process::Command;
use oneloop::aio::{GracefulShutdown, TcpListener, TcpStream, spawn};
use oneloop::{EventLoop, Options};
use std::future::Future;
use std::io;
use std::net::SocketAddr;

/// More than any answer of these tests has.
pub(crate) const BYTES_MAX: usize = 16 << 20;

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

/// Starts a server, runs its clients, and then asks the server to end, which it must do.
pub(crate) async fn with_server<S, C>(
    serve: fn(TcpListener, GracefulShutdown) -> S,
    clients: impl FnOnce(SocketAddr) -> C,
) where
    S: Future<Output = io::Result<()>> + 'static,
    C: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let shutdown = GracefulShutdown::new();
    let served = spawn(serve(listener, shutdown.clone()));
    clients(addr).await;
    shutdown.token().trigger();
    served.await.unwrap().unwrap();
}

/// Sends bytes, and returns what the server sends until it closes the connection.
pub(crate) async fn send(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(addr).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    // The close of a socket with unread input is a reset. It comes behind what the server has sent.
    while let Ok(Some(chunk)) = stream.read_chunk().await {
        received.extend_from_slice(&chunk);
    }
    received
}

/// A request to a server, of both versions.
pub(crate) fn request(
    method: &str,
    addr: SocketAddr,
    path: &str,
    body: &'static str,
) -> Request<Full<Bytes>> {
    let uri = format!("http://{addr}{path}");
    let request = Request::builder().method(method).uri(uri);
    let request = request.header("host", addr.to_string());
    request.body(Full::from(body)).unwrap()
}

/// The status and the body of an answer.
pub(crate) async fn text(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A client of HTTP/1, whose connection is a task.
pub(crate) async fn http1_client(addr: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (sender, connection) = http1::handshake(stream).await.unwrap();
    spawn(connection);
    sender
}

/// A client of HTTP/2, whose connection is a task.
pub(crate) async fn http2_client(addr: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let handshake = http2::handshake(LoopExecutor, stream).await;
    let (sender, connection) = handshake.unwrap();
    spawn(connection);
    sender
}

/// Expects the answers of the example of hyper's server, in both versions.
pub(crate) async fn expect_answers(
    addr: SocketAddr,
    mut one: http1::SendRequest<Full<Bytes>>,
    mut two: http2::SendRequest<Full<Bytes>>,
) {
    for (method, path, body, expected) in [
        ("GET", "/", "", (200, "hello\n")),
        ("POST", "/echo", "tea", (200, "tea")),
        ("GET", "/coffee", "", (404, "there is no such page\n")),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        let answer = one.send_request(request(method, addr, path, body)).await;
        assert_eq!(text(answer.unwrap()).await, expected);
        let answer = two.send_request(request(method, addr, path, body)).await;
        assert_eq!(text(answer.unwrap()).await, expected);
    }
}

/// Runs a program, and returns what it prints; `None`, and a printed line, if it is not installed.
pub(crate) async fn peer(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).output().await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {printed}{errors}");
    Some(printed)
}
