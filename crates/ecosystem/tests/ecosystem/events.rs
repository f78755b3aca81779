//! Server-sent events on hyper.

use crate::harness::{BYTES_MAX, block_on, peer, with_server};
use oneloop::aio::{self, GracefulShutdown, TcpListener, TcpStream, now, spawn};
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/events.rs"]
mod example;

#[test]
fn an_event_comes_each_second_and_continues_behind_the_last_that_was_seen() {
    block_on(with_server(example::serve, async |addr| {
        let stream = TcpStream::connect(addr).await.unwrap();
        let head = "GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 7\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let start = now();
        let mut lines = stream.lines(1_000);
        let mut data = Vec::new();
        while data.len() < 3 {
            let line = lines.next().await.unwrap().unwrap();
            let second = line.as_str().strip_prefix("data: ").map(str::to_owned);
            data.extend(second.map(|second| (second, (now() - start).as_secs())));
        }
        let expected = [("second 8", 1), ("second 9", 2), ("second 10", 3)];
        let expected = expected.map(|(second, after)| (second.to_owned(), after));
        assert_eq!(data, expected);
    }));
}

#[test]
fn curl_reads_the_events() {
    block_on(with_server(example::serve, async |addr| {
        let command = format!("curl -sN http://{addr}/events | head -n 5");
        let Some(_version) = peer("curl", &["--version"]).await else {
            return;
        };
        let printed = peer("sh", &["-c", &command]).await.unwrap();
        assert_eq!(printed, "id: 1\ndata: second 1\n\nid: 2\ndata: second 2\n");
    }));
}

#[test]
fn the_end_of_the_server_is_the_end_of_its_events() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let shutdown = GracefulShutdown::new();
        let served = spawn(example::serve(listener, shutdown.clone()));
        let head = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        aio::sleep(Duration::from_millis(1_500)).await;
        shutdown.token().trigger();
        let text = stream.read_text(BYTES_MAX).await.unwrap();
        assert!(text.contains("content-type: text/event-stream"), "{text}");
        assert!(
            text.ends_with("id: 1\ndata: second 1\n\n\r\n0\r\n\r\n"),
            "{text}"
        );
        served.await.unwrap().unwrap();
    });
}
