//! Clients that send garbage, too much, too slowly, or are too many.

use crate::client::{ask, connect, read_to_end, send, start, tcp_addr};
use oneloop::inspector::AdminOptions;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn garbage_gets_400() {
    let admin = start(AdminOptions::default());
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    for garbage in [
        &b"hello\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        tls,
    ] {
        let answer = send(&admin, garbage);
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{answer:?} to {garbage:?}"
        );
    }
    assert!(ask(&admin, "GET /fine", "").ends_with("fine\n"));
}

#[test]
fn a_head_that_is_too_large_gets_431() {
    let admin = start(AdminOptions::default());
    let header = format!("X-Large: {}\r\n", "x".repeat(64 * 1024));
    let answer = ask(&admin, "GET /fine", &header);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_slow_head_is_closed_on_time() {
    let admin = start(AdminOptions {
        head_timeout: Duration::from_millis(30),
        ..AdminOptions::default()
    });
    assert_eq!(read_to_end(connect(&admin)), ""); // not a byte
    let mut stream = connect(&admin);
    stream.write_all(b"GET /fine HTTP/1.1\r\nHost: lo").unwrap();
    assert_eq!(read_to_end(stream), "");
}

#[test]
fn a_client_that_takes_no_answer_is_closed_on_time() {
    let admin = start(AdminOptions {
        stall_timeout: Duration::from_millis(50),
        ..AdminOptions::default()
    });
    let mut stream = connect(&admin);
    let request = "GET /echo?text=x HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400_000);
    // The write fails once the server has closed: it neither reads nor answers without end.
    let written = stream.write_all(request.as_bytes());
    let rest = TcpStream::connect(tcp_addr(&admin)).map(drop);
    assert!(written.is_err() && rest.is_ok(), "{written:?}");
}

#[test]
fn connections_beyond_the_maximum_wait() {
    let admin = start(AdminOptions {
        connections_max: 1,
        ..AdminOptions::default()
    });
    let mut first = connect(&admin);
    first
        .write_all(b"GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut byte = [0; 1];
    std::io::Read::read_exact(&mut first, &mut byte).unwrap();
    let mut second = connect(&admin);
    second.write_all(b"GET /fine HTTP/1.0\r\n\r\n").unwrap();
    second.set_nonblocking(true).unwrap();
    assert!(
        std::io::Read::read(&mut second, &mut byte).is_err(),
        "it is not accepted yet"
    );
    second.set_nonblocking(false).unwrap();
    drop(first);
    assert!(read_to_end(second).ends_with("fine\n"));
}
