//! Routes of the program, and what they answer.

use crate::client::{ask, read_to_end, start};
use oneloop::inspector::{AdminOptions, Answer, Bytes, Inspector, StatusCode};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

#[test]
fn a_route_of_the_program_is_answered() {
    let admin = start(AdminOptions::default());
    let answer = ask(&admin, "GET /fine", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-security-policy: default-src 'self'"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nfine\n"), "{answer}");
    let answer = ask(&admin, "GET /echo?text=a%20b&text=c", "");
    assert!(answer.ends_with("\r\n\r\na b"), "{answer}");
    let answer = ask(&admin, "HEAD /fine", "");
    assert!(
        answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[test]
fn a_path_that_is_not_there_gets_a_list_of_those_that_are() {
    let admin = start(AdminOptions::default());
    let answer = ask(&admin, "GET /../etc/passwd", "");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("/echo /events /fine"), "{answer}");
}

#[test]
fn what_changes_something_takes_post_alone() {
    let admin = start(AdminOptions::default());
    let answer = ask(&admin, "GET /act", "");
    assert!(
        answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST"),
        "{answer}"
    );
    assert!(ask(&admin, "POST /act", "").ends_with("\r\n\r\ndone\n"));
    assert!(ask(&admin, "POST /fine", "").starts_with("HTTP/1.1 405 "));
}

#[test]
fn a_route_that_panics_costs_its_request_and_nothing_else() {
    let admin = start(AdminOptions::default());
    assert!(ask(&admin, "GET /panics", "").starts_with("HTTP/1.1 500 "));
    assert!(ask(&admin, "GET /fine", "").ends_with("fine\n"));
}

/// Three pieces.
struct Pieces(u8);

impl oneloop::core::Stream for Pieces {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 3).then(|| format!("piece {}\n", self.0).into()))
    }
}

#[test]
fn a_body_may_come_in_pieces() {
    let mut inspector = Inspector::new();
    inspector.add_route("/pieces", |_| async {
        Answer::pieces("text/plain", Pieces(0)).with_status(StatusCode::ACCEPTED)
    });
    let addr = "127.0.0.1:0".parse().unwrap();
    let admin = inspector.start(&addr, AdminOptions::default()).unwrap();
    let answer = ask(&admin, "GET /pieces", "");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(
        answer.contains("piece 1\n") && answer.contains("piece 3\n"),
        "{answer}"
    );
}

#[test]
fn a_unix_socket_and_a_socket_that_listens_already_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let addr = format!("unix:{}", path.display()).parse().unwrap();
    let admin = Inspector::new()
        .start(&addr, AdminOptions::default())
        .unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 404 "), "{answer}");
    drop(admin);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let admin = Inspector::new()
        .start_with(listener, AdminOptions::default())
        .unwrap();
    assert!(ask(&admin, "GET /nothing", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn the_end_of_the_thread_ends_connections_that_wait() {
    let admin = start(AdminOptions::default());
    let mut stream = crate::client::connect(&admin);
    stream
        .write_all(b"GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut first = [0; 8];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    drop(admin);
    assert!(read_to_end(stream).ends_with("fine\n"));
}
