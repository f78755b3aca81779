//! An axum `Router`.

use crate::harness::{block_on, http1_client, peer, request, send, text, with_server};
use crate::https_server::MADE;
use oneloop::aio::{self, GracefulShutdown, TcpListener, join_all, now, sleep, spawn};
use oneloop::tls::{Identity, ServerOptions, TlsAcceptor};
use std::io;
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/axum_server.rs"]
mod example;

#[test]
fn handlers_sleep_on_the_loop_side_by_side() {
    block_on(with_server(example::serve, async |addr| {
        let start = now();
        let clients = (0..100).map(async |_| {
            let mut client = http1_client(addr).await;
            let answer = client
                .send_request(request("GET", addr, "/sleep/3600000", ""))
                .await;
            assert_eq!(
                text(answer.unwrap()).await,
                (200, "slept 3600000 ms\n".to_owned())
            );
        });
        join_all(clients).await;
        let hour = Duration::from_secs(3600);
        assert!((hour..hour * 2).contains(&(now() - start)));
    }));
}

#[test]
fn a_handler_whose_client_leaves_is_dropped() {
    block_on(async {
        let start = now();
        let clients = async |addr| {
            let slow = b"GET /sleep/3600000 HTTP/1.1\r\nHost: x\r\n\r\n";
            let asking = spawn(async move { send(addr, slow).await });
            sleep(Duration::from_secs(1)).await;
            asking.cancel(); // drops its connection
        };
        with_server(example::serve, clients).await;
        // The server waits for its connections, and they for their handlers.
        assert!(now() - start < Duration::from_secs(60));
    });
}

#[test]
fn extractors_answer_what_they_reject() {
    let large = format!("[{}1]", "1, ".repeat(1 << 20));
    block_on(with_server(example::serve, async |addr| {
        for (kind, body, status) in [
            ("application/json", "[1, 2, -3]", 200),
            ("application/json", "[1, 2", 400),
            ("text/plain", "[1]", 415),
            ("application/json", "[\"tea\"]", 422),
            ("application/json", "[9223372036854775807, 1]", 422),
            ("application/json", &large, 413),
        ] {
            let length = body.len();
            let request = format!(
                "POST /sum HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
                Content-Length: {length}\r\n\r\n{body}"
            );
            let answer = send(addr, request.as_bytes()).await;
            let answer = String::from_utf8_lossy(&answer);
            let head = &body[..body.len().min(40)];
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{head}: {answer}"
            );
        }
    }));
}

#[test]
fn curl_is_answered() {
    aio::block_on(with_server(example::serve, async |addr| {
        let (root, sum) = (format!("http://{addr}/"), format!("http://{addr}/sum"));
        let json = [
            "-s",
            "-d",
            "[1, 2, 3]",
            "-H",
            "content-type: application/json",
            &sum,
        ];
        let Some(printed) = peer("curl", &["-s", "--http2-prior-knowledge", &root]).await else {
            return;
        };
        assert_eq!(printed, "visit 1\n");
        assert_eq!(peer("curl", &json).await.unwrap(), "6");
    }));
}

/// Serves one client after the other by the same router, over TLS.
async fn serve_over_tls(listener: TcpListener, shutdown: GracefulShutdown) -> io::Result<()> {
    let identity = Identity::from_pem(&MADE.0, &MADE.1)?;
    let options = ServerOptions {
        alpn: vec!["h2", "http/1.1"],
        ..ServerOptions::default()
    };
    let acceptor = TlsAcceptor::new([identity], options)?;
    let router = example::router();
    while let Some(accepted) = shutdown.run(listener.accept()).await {
        let stream = acceptor.accept(accepted?.0).await?;
        let token = shutdown.token().clone();
        shutdown.spawn(example::serve_client(stream, router.clone(), token));
    }
    shutdown.drain(Duration::from_secs(10)).await;
    Ok(())
}

#[test]
fn curl_is_answered_over_tls_in_both_versions() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &MADE.0).unwrap();
    let ca = file.path().display().to_string();
    aio::block_on(with_server(serve_over_tls, async |addr| {
        let url = format!("https://localhost:{}/sleep/20", addr.port());
        let to = format!("localhost:{}:127.0.0.1", addr.port());
        for (version, answered) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let args = ["-s", "--cacert", &ca, "--resolve", &to, version, &url];
            let more = ["-w", "%{http_version}"];
            let Some(printed) = peer("curl", &[&args[..], &more].concat()).await else {
                return;
            };
            assert_eq!(printed, format!("slept 20 ms\n{answered}"));
        }
    }));
}
