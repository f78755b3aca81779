//! hyper's server, of both versions.

use crate::harness::{
    BYTES_MAX, block_on, connection, expect_answers, http1_client, http2_client, peer, request,
    send, text, with_server,
};
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::server::conn::auto::Builder;
use oneloop::aio::hyper::{LoopExecutor, LoopTimer};
use oneloop::aio::{self, GracefulShutdown, TcpListener, TcpStream, now, sleep, spawn};
use oneloop::{EventLoop, Options};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/hyper_server.rs"]
pub(crate) mod example;

#[test]
fn both_versions_are_served_on_one_port() {
    block_on(with_server(example::serve, async |addr| {
        expect_answers(addr, http1_client(addr).await, http2_client(addr).await).await;
    }));
}

#[test]
fn curl_is_served_in_both_versions() {
    let body = "x".repeat(1 << 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &body).unwrap();
    let data = format!("@{}", file.path().display());
    aio::block_on(with_server(example::serve, async |addr| {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let url = format!("http://{addr}/echo");
            let args = ["-s", version, "--data-binary", &data, &url];
            let Some(printed) = peer("curl", &args).await else {
                return;
            };
            assert!(printed == body, "{version}");
        }
    }));
}

#[test]
fn wrk_and_h2load_are_served_without_an_error() {
    aio::block_on(with_server(example::serve, async |addr| {
        let url = format!("http://{addr}/");
        if let Some(report) = peer("wrk", &["-t1", "-c64", "-d1s", &url]).await {
            assert!(report.contains("Requests/sec"), "{report}");
            assert!(
                !report.contains("errors") && !report.contains("Non-2xx"),
                "{report}"
            );
        }
        let args = ["-n20000", "-c16", "-m16", &url];
        if let Some(report) = peer("h2load", &args).await {
            assert!(report.contains("20000 succeeded, 0 failed"), "{report}");
        }
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
        let served = spawn(example::serve(listener, shutdown.clone()));
        // Clients of both versions that are idle, and one in the middle of its request.
        let (mut one, mut two) = (http1_client(addr).await, http2_client(addr).await);
        for answer in [
            one.send_request(request("GET", addr, "/", "")).await,
            two.send_request(request("GET", addr, "/", "")).await,
        ] {
            assert_eq!(text(answer.unwrap()).await.0, 200);
        }
        let slow = TcpStream::connect(addr).await.unwrap();
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\ntea";
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = slow.read_chunk().await.unwrap().unwrap().to_vec();

        shutdown.token().trigger();
        slow.write_all(b", or").await.unwrap();
        answer.extend(slow.read_all(BYTES_MAX).await.unwrap());
        served.await.unwrap().unwrap();
        assert!(one.is_closed() && two.is_closed());
        let refused = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
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
fn a_graceful_end_cuts_a_request_off_that_takes_longer_than_its_limit() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = GracefulShutdown::new();
        let served = spawn(example::serve(listener, shutdown.clone()));
        let endless = TcpStream::connect(addr).await.unwrap();
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\ntea";
        endless.write_all(head.as_bytes()).await.unwrap();
        assert!(endless.read_chunk().await.unwrap().is_some());
        let start = now();
        shutdown.token().trigger();
        served.await.unwrap().unwrap();
        assert_eq!((now() - start).as_secs(), 30);
        assert!(!matches!(endless.read_chunk().await, Ok(Some(_))));
    });
}

#[test]
fn hyper_utils_server_of_both_versions_waits_for_the_first_bytes_without_its_limit() {
    block_on(async {
        let (client, server) = connection().await;
        let mut builder = Builder::new(LoopExecutor);
        let second = Duration::from_secs(1);
        builder.http1().timer(LoopTimer).header_read_timeout(second);
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(String::new())));
        let served = builder.serve_connection(server, service);
        let waits = aio::timeout(Duration::from_secs(3600), served).await;
        assert!(waits.is_err(), "so the example has a limit of its own");
        drop(client);
    });
}

#[test]
fn garbage_is_answered_by_400_and_a_head_that_is_too_large_by_431() {
    block_on(with_server(example::serve, async |addr| {
        let many: String = (0..200).map(|index| format!("X-{index}: x\r\n")).collect();
        let long = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
        for (head, status) in [
            ("\x16\x03\x01\x02\x00\x01\r\n\r\n".to_owned(), 400),
            ("tea and toast\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(), 400),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
            (format!("GET / HTTP/1.1\r\n{long}\r\n"), 431),
        ] {
            let answer = send(addr, head.as_bytes()).await;
            let answer = String::from_utf8_lossy(&answer);
            let expected = format!("HTTP/1.1 {status} ");
            let head = &head[..head.len().min(40)];
            assert!(answer.starts_with(&expected), "{head:?}: {answer}");
        }
    }));
}

#[test]
fn a_client_whose_first_request_takes_too_long_is_closed_on_time() {
    block_on(with_server(example::serve, async |addr| {
        for (head, answer) in [
            ("", ""),
            ("P", ""), // of POST, or of HTTP/2's preface
            ("PRI * HTTP/2.0", ""),
            ("GET / HTTP/1.1\r\nHost: x\r\n", ""),
        ] {
            let start = now();
            let received = send(addr, head.as_bytes()).await;
            assert_eq!(String::from_utf8(received).unwrap(), answer, "{head}");
            assert_eq!((now() - start).as_secs(), 10, "{head}");
        }
    }));
}

#[test]
fn a_later_head_that_takes_too_long_is_closed_on_time() {
    block_on(with_server(example::serve, async |addr| {
        let stream = TcpStream::connect(addr).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head).await.unwrap();
        assert!(stream.read_chunk().await.unwrap().is_some());
        sleep(Duration::from_secs(8)).await;
        stream.write_all(head).await.unwrap();
        assert!(stream.read_chunk().await.unwrap().is_some(), "not yet");
        let start = now();
        for byte in &head[..head.len() - 1] {
            if stream.write_all(&[*byte]).await.is_err() {
                break; // a byte each second delays nothing
            }
            sleep(Duration::from_secs(1)).await;
        }
        assert!(stream.read_chunk().await.is_ok_and(|chunk| chunk.is_none()));
        let taken = (now() - start).as_secs();
        assert!((10..=12).contains(&taken), "{taken}");
    }));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kind and payload of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at(length);
        frames.push((head[3], payload));
        bytes = rest;
    }
    frames
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn a_client_that_resets_streams_rapidly_is_sent_away_and_others_are_served() {
    block_on(with_server(example::serve, async |addr| {
        let mut other = http2_client(addr).await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
        // RFC 7541: `:method GET`, `:scheme http`, `:path /` of the static table.
        let get = [0x82, 0x86, 0x84];
        for stream in (1..2_000).step_by(2) {
            bytes.extend(frame(HEADERS, 0b101, stream, &get)); // the end of the stream, and of them
            bytes.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        }
        let received = send(addr, &bytes).await;
        let frames = frames(&received);
        let (_, goaway) = frames
            .iter()
            .find(|(kind, _)| *kind == GOAWAY)
            .expect("GOAWAY");
        assert_eq!(goaway[4..8], ENHANCE_YOUR_CALM.to_be_bytes());

        let answer = other.send_request(request("GET", addr, "/", "")).await;
        assert_eq!(text(answer.unwrap()).await, (200, "hello\n".to_owned()));
    }));
}
