//! hyper's server behind TLS, in the version of HTTP that the client asks for.

use crate::harness::{BYTES_MAX, block_on, expect_answers, peer, with_server};
use futures_util::{SinkExt, StreamExt};
use hyper::client::conn::{http1, http2};
use oneloop::aio::hyper::LoopExecutor;
use oneloop::aio::{self, GracefulShutdown, TcpListener, TcpStream, join, now, spawn};
use oneloop::tls::{ClientOptions, Identity, Roots, TlsConnector, TlsStream};
use oneloop::{EventLoop, Options};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::LazyLock;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

#[allow(dead_code)] // `main`
#[path = "../../examples/https_server.rs"]
mod example;

/// A certificate of `localhost`, and its key.
pub(crate) static MADE: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

fn identity() -> Identity {
    Identity::from_pem(&MADE.0, &MADE.1).unwrap()
}

pub(crate) async fn serve(listener: TcpListener, shutdown: GracefulShutdown) -> io::Result<()> {
    let acceptor = example::acceptor(identity())?;
    example::serve(listener, acceptor, shutdown).await
}

/// A client that speaks this protocol, after its handshake.
async fn client(addr: SocketAddr, protocol: &'static str) -> TlsStream<TcpStream> {
    let options = ClientOptions {
        alpn: vec![protocol],
        ..ClientOptions::default()
    };
    let connector = TlsConnector::new(Roots::from_pem(&MADE.0).unwrap(), options).unwrap();
    let stream = TcpStream::connect(addr).await.unwrap();
    connector.connect("localhost", stream).await.unwrap()
}

#[test]
fn curl_gets_the_version_that_it_asks_for() {
    let body = "x".repeat(1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("body"), &body).unwrap();
    std::fs::write(path("ca.pem"), &MADE.0).unwrap();
    let (ca, data) = (path("ca.pem"), format!("@{}", path("body")));
    aio::block_on(with_server(serve, async |addr| {
        let (url, to) = (
            format!("https://localhost:{}/echo", addr.port()),
            format!("localhost:{}:127.0.0.1", addr.port()),
        );
        for (version, answered) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let args = ["-s", "--cacert", &ca, "--resolve", &to, version, &url];
            let more = ["--data-binary", &data, "-w", "%{http_version}"];
            let Some(printed) = peer("curl", &[&args[..], &more].concat()).await else {
                return;
            };
            assert!(printed == format!("{body}{answered}"), "{version}");
        }
    }));
}

#[test]
fn h2load_and_wrk_are_served_without_an_error() {
    aio::block_on(with_server(serve, async |addr| {
        let url = format!("https://localhost:{}/", addr.port());
        for version in ["h2", "http/1.1"] {
            let list = format!("--npn-list={version}");
            let args = ["-n20000", "-c16", "-m16", &list, &url];
            let Some(report) = peer("h2load", &args).await else {
                break;
            };
            assert!(report.contains("20000 succeeded, 0 failed"), "{report}");
            let protocol = format!("Application protocol: {version}");
            assert!(report.contains(&protocol), "{report}");
        }
        if let Some(report) = peer("wrk", &["-t1", "-c64", "-d1s", &url]).await {
            assert!(report.contains("Requests/sec"), "{report}");
            let failed = report.contains("errors") || report.contains("Non-2xx");
            assert!(!failed, "{report}");
        }
    }));
}

#[test]
fn clients_of_one_connection_run_over_tls() {
    block_on(with_server(serve, async |addr| {
        let (one, connection) = http1::handshake(client(addr, "http/1.1").await)
            .await
            .unwrap();
        spawn(connection);
        let stream = client(addr, "h2").await;
        let (two, connection) = http2::handshake(LoopExecutor, stream).await.unwrap();
        spawn(connection);
        expect_answers(addr, one, two).await;
    }));
}

#[test]
fn a_client_that_stalls_is_closed_on_time_and_one_without_tls_gets_an_alert() {
    block_on(with_server(serve, async |addr| {
        let start = now();
        let silent = TcpStream::connect(addr).await.unwrap();
        assert!(silent.read_all(80).await.unwrap().is_empty());
        assert_eq!((now() - start).as_secs(), 10);
        for protocol in ["http/1.1", "h2"] {
            let stream = client(addr, protocol).await;
            let start = now();
            while matches!(stream.read_chunk().await, Ok(Some(_settings))) {}
            assert_eq!((now() - start).as_secs(), 10, "{protocol}");
        }
        let plain = TcpStream::connect(addr).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        plain.write_all(head).await.unwrap();
        let alert = plain.read_all(80).await.unwrap();
        assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50]);
    }));
}

#[test]
fn a_graceful_end_answers_what_has_begun_and_leaves_nothing_on_the_loop() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let is_left = Rc::new(Cell::new(false));
    handle.on_unfinished({
        let is_left = Rc::clone(&is_left);
        move |unfinished| {
            eprintln!("{unfinished}");
            is_left.set(true);
        }
    });
    let answered = handle.spawn(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = GracefulShutdown::new();
        let served = spawn(serve(listener, shutdown.clone()));
        let start = now();
        let idle = client(addr, "http/1.1").await;
        let in_handshake = TcpStream::connect(addr).await.unwrap();
        let slow = client(addr, "http/1.1").await;
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\ntea";
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = slow.read_chunk().await.unwrap().unwrap().to_vec();

        shutdown.token().trigger();
        slow.write_all(b", or").await.unwrap();
        answer.extend(slow.read_all(BYTES_MAX).await.unwrap()); // to its close_notify
        assert!(idle.read_all(80).await.unwrap().is_empty());
        assert!(in_handshake.read_all(80).await.unwrap().is_empty());
        served.await.unwrap().unwrap();
        assert_eq!((now() - start).as_secs(), 0);
        String::from_utf8(answer).unwrap()
    });
    // Returns once nothing waits any more: neither a connection nor a timer is left.
    event_loop.run().unwrap();
    let answer = event_loop.block_on(answered).unwrap();
    assert!(answer.ends_with("tea, or"), "{answer}");
    drop(event_loop);
    assert!(!is_left.get());
}

#[test]
fn a_websocket_runs_over_tls() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = example::acceptor(identity()).unwrap();
        let accepting = async {
            let (stream, _peer) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.unwrap()
        };
        let (client, server) = join(client(addr, "http/1.1"), accepting).await;
        spawn(async move {
            let mut socket = accept_async(server).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let (mut socket, _response) = client_async("wss://localhost/", client).await.unwrap();
        let large = "tea".repeat(1 << 20);
        socket.send(Message::text(large.as_str())).await.unwrap();
        let echoed = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(echoed == large.as_str());
        socket.close(None).await.unwrap();
        while let Some(Ok(_closing)) = socket.next().await {}
    });
}
