//! The examples of servers as programs: they start, answer, and end as a supervisor asks them to.

use crate::https_server::MADE;
use crate::programs::Program;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends a request, and reads to the end of the connection.
fn ask(addr: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    read.unwrap();
    answer
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn each_server_prints_its_address_answers_and_ends_by_a_signal() {
    for (name, scheme, expected, signal) in [
        ("hyper_server", "http://", "hello\n", Signal::TERM),
        ("axum_server", "http://", "visit 1\n", Signal::INT),
        ("events", "http://", "</script>\n", Signal::TERM),
        (
            "websocket",
            "ws://",
            "this server speaks WebSocket\n",
            Signal::INT,
        ),
    ] {
        let mut server = Program::example(name, &["127.0.0.1:0"], &[]);
        let addr = server.printed(scheme);
        let answer = String::from_utf8(ask(&addr, GET)).unwrap();
        assert!(answer.ends_with(expected), "{name}: {answer}");
        let _idle = TcpStream::connect(&addr).unwrap(); // ends with the server
        server.signal(signal);
        let (status, _, errors) = server.end();
        assert!(
            status.success() && errors.is_empty(),
            "{name}: {status}, {errors:?}"
        );
    }
}

#[test]
fn plain_http_on_a_port_for_tls_is_one_alert_and_one_line_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    std::fs::write(&certificate, &MADE.0).unwrap();
    std::fs::write(&key, &MADE.1).unwrap();
    let mut server = Program::example("https_server", &[&certificate, &key, "127.0.0.1:0"], &[]);
    let addr = server.printed("https://");
    assert_eq!(ask(&addr, GET), [21, 3, 3, 0, 2, 2, 50]);
    let line = server.reported();
    let problem = ": the peer does not speak TLS; plain HTTP on a port for TLS looks like this";
    assert!(line.ends_with(problem), "{line}");

    server.signal(Signal::HUP);
    assert_eq!(server.reported(), "new certificates");
    std::fs::write(&key, "tea").unwrap();
    server.signal(Signal::HUP);
    let line = server.reported();
    assert!(
        line.starts_with("the former certificates stay: ") && line.contains(&key),
        "{line}"
    );
    server.signal(Signal::TERM);
    let (status, _, errors) = server.end();
    assert!(
        status.success() && errors.is_empty(),
        "{status}, {errors:?}"
    );
}

#[test]
fn each_client_without_a_server_of_other_people_prints_what_it_shows() {
    let mut server = Program::example("hyper_server", &["127.0.0.1:0"], &[]);
    let url = format!("http://{}", server.printed("http://"));
    let (status, printed, errors) = Program::example("hyper_client", &[&url], &[]).end();
    assert!(status.success(), "{status}: {errors:?}");
    assert_eq!(printed, ["200 OK: 6 bytes"; 10]);
    let (status, printed, errors) = Program::example("codec", &[], &[]).end();
    assert!(status.success(), "{status}: {errors:?}");
    assert_eq!(printed, ["1 words", "3 words"]);
}
