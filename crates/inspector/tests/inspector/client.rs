//! A client that sends bytes as they are, and reads until the end.

use oneloop::inspector::{AdminOptions, AdminThread, Answer, Inspector};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for bytes before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// An inspector with a few routes.
pub(crate) fn start(options: AdminOptions) -> AdminThread {
    let mut inspector = Inspector::new();
    inspector.add_route("/fine", |_| async { Answer::text("fine\n") });
    inspector.add_route("/echo", |asked| async move {
        Answer::text(asked.parameter("text").unwrap_or_default())
    });
    inspector.add_route("/panics", |_| async { panic!("in a route") });
    inspector.add_action("/act", |_| async { Answer::text("done\n") });
    inspector
        .start(&"127.0.0.1:0".parse().unwrap(), options)
        .unwrap()
}

pub(crate) fn connect(admin: &AdminThread) -> TcpStream {
    let stream = TcpStream::connect(tcp_addr(admin)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn tcp_addr(admin: &AdminThread) -> SocketAddr {
    admin.local_addr().inet().unwrap()
}

/// Sends a head with these header lines, and returns all that comes back.
pub(crate) fn ask(admin: &AdminThread, request: &str, headers: &str) -> String {
    let head =
        format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    send(admin, head.as_bytes())
}

/// Sends bytes, and returns all that comes back.
pub(crate) fn send(admin: &AdminThread, bytes: &[u8]) -> String {
    let mut stream = connect(admin);
    stream.write_all(bytes).unwrap();
    read_to_end(stream)
}

pub(crate) fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A server that closes with bytes unread resets the connection after its answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}
