//! Other people's crates under chaos: what arrives is exact, or an error is reported.

use crate::harness::request;
use crate::hyper_server::example as http;
use crate::websocket::example as websocket;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Response, StatusCode};
use oneloop::EventLoop;
use oneloop::aio::hyper::LoopExecutor;
use oneloop::aio::{GracefulShutdown, TcpListener, TcpStream, spawn, timeout};
use oneloop::chaos::{Plan, check, check_plans};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

const SEEDS: u64 = 60;
/// More than one frame of HTTP/2, and than one read.
static BODY: LazyLock<String> =
    LazyLock::new(|| (0..10_000).map(|index| format!("{index},")).collect());

type Checked = Result<(), Box<dyn Error>>;

async fn is_echo(response: Response<Incoming>) -> Checked {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    assert!(
        (status, &body[..]) == (StatusCode::OK, BODY.as_bytes()),
        "{status}"
    );
    Ok(())
}

async fn http1_clients(addr: SocketAddr) -> Checked {
    for _ in 0..2 {
        let stream = TcpStream::connect(addr).await?;
        let (mut sender, connection) = http1::handshake(stream).await?;
        spawn(connection);
        for _ in 0..2 {
            let request = request("POST", addr, "/echo", &BODY);
            is_echo(sender.send_request(request).await?).await?;
        }
    }
    Ok(())
}

async fn http2_clients(addr: SocketAddr) -> Checked {
    let stream = TcpStream::connect(addr).await?;
    let (sender, connection) = http2::handshake(LoopExecutor, stream).await?;
    spawn(connection);
    let asking = (0..3).map(|_| {
        let mut sender = sender.clone();
        let request = request("POST", addr, "/echo", &BODY);
        spawn(async move { is_echo(sender.send_request(request).await?).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await??;
    }
    Ok(())
}

async fn websocket_clients(addr: SocketAddr) -> Checked {
    let stream = TcpStream::connect(addr).await?;
    let (mut socket, _response) = client_async(format!("ws://{addr}"), stream).await?;
    for _ in 0..3 {
        socket.send(Message::text(BODY.as_str())).await?;
        let answer = socket.next().await.ok_or("the server has left")??;
        assert!(answer.into_text()? == BODY.as_str());
    }
    socket.close(None).await?;
    Ok(())
}

/// Runs a server with its clients, and ends it gracefully.
macro_rules! served {
    ($serve:path, $clients:path) => {
        async {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let addr = listener.local_addr()?;
            let shutdown = GracefulShutdown::new();
            let server = spawn($serve(listener, shutdown.clone()));
            // A listener that lacks fds closes connections, and then a client waits in vain.
            let clients = timeout(Duration::from_secs(600), $clients(addr)).await;
            shutdown.token().trigger();
            server.await??;
            clients?
        }
    };
}

fn http1_is_served(event_loop: &mut EventLoop) -> Checked {
    event_loop.block_on(served!(http::serve, http1_clients))
}

fn http2_is_served(event_loop: &mut EventLoop) -> Checked {
    event_loop.block_on(served!(http::serve, http2_clients))
}

fn websockets_are_served(event_loop: &mut EventLoop) -> Checked {
    event_loop.block_on(served!(websocket::serve, websocket_clients))
}

#[test]
fn http1_is_exact() {
    check(0..SEEDS, |event_loop| http1_is_served(event_loop).unwrap());
}

#[test]
fn http2_is_exact() {
    check(0..SEEDS, |event_loop| http2_is_served(event_loop).unwrap());
}

#[test]
fn websockets_are_exact() {
    check(0..SEEDS, |event_loop| {
        websockets_are_served(event_loop).unwrap()
    });
}

#[test]
fn whatever_fails_is_reported_and_the_servers_end() {
    for serve in [http1_is_served, http2_is_served, websockets_are_served] {
        let plans = (0..SEEDS).map(Plan::with_failures);
        check_plans(plans, |event_loop| drop(serve(event_loop)));
    }
}
