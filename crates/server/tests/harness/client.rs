//! What clients do: send, read, end, reset.

use super::server::Server;
use super::{DEADLINE, pattern};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// Connects. A read or write on the socket fails after the deadline.
#[track_caller]
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Connects from this loopback address.
#[track_caller]
pub(crate) fn connect_from(addr: SocketAddr, from: &str) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    rustix::net::bind(&socket, &from).unwrap();
    rustix::net::connect(&socket, &addr).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[track_caller]
pub(crate) fn connect_unix(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends words, and expects the same back.
#[track_caller]
pub(crate) fn echo(mut stream: impl Read + Write, words: &[u8]) {
    stream.write_all(words).unwrap();
    expect_bytes(stream, words);
}

/// Expects that the next bytes are these.
#[track_caller]
pub(crate) fn expect_bytes(mut stream: impl Read, words: &[u8]) {
    let mut received = vec![0; words.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(
        received.escape_ascii().to_string(),
        words.escape_ascii().to_string()
    );
}

/// Expects the end of the stream, without a reset.
#[track_caller]
pub(crate) fn expect_end(mut stream: impl Read + Debug) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(
        rest.escape_ascii().to_string(),
        "",
        "{stream:?} has not ended"
    );
}

/// Reads until the server closes or resets; returns the count of bytes.
#[track_caller]
pub(crate) fn read_until_closed(mut stream: &TcpStream) -> usize {
    let mut buffer = [0; 64 * 1024];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return received,
            Ok(count) => received += count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return received,
            Err(error) => panic!("the server has not closed: {error}"),
        }
    }
}

/// Reads on, and expects that the stream ends with a reset.
#[track_caller]
pub(crate) fn expect_reset(mut stream: &TcpStream) {
    let error = io::copy(&mut stream, &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Ends, and waits until the server has closed, too.
#[track_caller]
pub(crate) fn leave(stream: TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    expect_end(&stream);
}

/// Resets the connection: close(2) does so with an `SO_LINGER` of zero (socket(7)).
pub(crate) fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// True if no byte has come yet.
pub(crate) fn is_silent(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Writes until the server takes no more while it serves others; returns the count of bytes.
///
/// Only the round trips of other clients show that the loop has turned and has not read from this
/// one.
#[track_caller]
pub(crate) fn fill(server: &Server, stream: &TcpStream) -> usize {
    const TAKEN_MAX: usize = 64 << 20;
    let witnesses = [(); 4].map(|()| server.connect()); // most likely one on each thread
    stream.set_nonblocking(true).unwrap();
    let (mut written, mut rounds_without) = (0, 0);
    while rounds_without < 20 {
        let more = pattern::write_what_fits(stream, written);
        written += more;
        assert!(
            written < TAKEN_MAX,
            "the server keeps reading, although its output is not taken"
        );
        rounds_without = if more == 0 { rounds_without + 1 } else { 0 };
        witnesses
            .iter()
            .for_each(|witness| echo(witness, b"did the loop turn?"));
    }
    stream.set_nonblocking(false).unwrap();
    written
}

/// Sends `bytes` of the pattern, then the end, and meanwhile reads all of them back.
#[track_caller]
pub(crate) fn echo_pattern<S: HalfClose>(stream: &S, bytes: usize)
where
    for<'a> &'a S: Read + Write,
{
    echo_pattern_from(stream, 0, bytes);
}

/// The same with the pattern from `start` on.
#[track_caller]
pub(crate) fn echo_pattern_from<S: HalfClose>(stream: &S, start: usize, bytes: usize)
where
    for<'a> &'a S: Read + Write,
{
    thread::scope(|scope| {
        scope.spawn(|| {
            pattern::write_from(stream, start, bytes);
            stream.half_close();
        });
        assert_eq!(pattern::expect_from(stream, start), bytes);
    });
}

/// Many clients at the same time: each gets its own number back, and then its own part of the
/// pattern.
#[track_caller]
pub(crate) fn echo_many(clients: Vec<TcpStream>, bytes: usize) {
    for (number, client) in clients.iter().enumerate() {
        echo(client, format!("client {number}").as_bytes());
    }
    let threads = 8;
    thread::scope(|scope| {
        for first in 0..threads {
            let some = clients.iter().enumerate().skip(first).step_by(threads);
            scope.spawn(move || {
                some.for_each(|(number, client)| echo_pattern_from(client, number * 997, bytes));
            });
        }
    });
}

/// A stream of either family, whose write side can be closed.
pub(crate) trait HalfClose: Sync {
    fn half_close(&self);
}

impl HalfClose for TcpStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl HalfClose for UnixStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}
