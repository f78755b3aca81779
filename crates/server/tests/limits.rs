//! What the server does at its limits: connections, time, waiting output, open files.

mod harness;

use harness::client::{self, connect, echo, expect_bytes, expect_end, fill};
use harness::server::Server;
use harness::{command, eventually, pattern};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_connection_beyond_the_limit_is_refused_until_a_permit_is_free() {
    for threads in ["1", "2"] {
        let args = [
            "--max-conns",
            "2",
            "--when-full",
            "refuse",
            "--threads",
            threads,
        ];
        let server = Server::start(&args);
        let mut clients = server.connect_echoed(2);
        for _ in 0..10 {
            assert_eq!(client::read_until_closed(&server.connect()), 0);
        }
        clients
            .iter()
            .for_each(|client| echo(client, b"undisturbed"));
        client::leave(clients.remove(0));
        server.still_echoes();
        drop(clients);
        server.drain();
    }
}

/// The threads race for the connections that come.
#[test]
fn no_client_is_refused_while_a_permit_is_free() {
    let limits = ["--max-conns", "2", "--when-full", "refuse"];
    let server = Server::start(&[&limits[..], &["--threads", "2"]].concat());
    for _ in 0..500 {
        let clients = server.connect_echoed(2);
        clients.into_iter().for_each(client::leave);
    }
    server.finish();
}

#[test]
fn a_connection_beyond_the_limit_waits_until_a_permit_is_free() {
    for threads in ["1", "2"] {
        let args = [
            "--max-conns",
            "2",
            "--when-full",
            "wait",
            "--threads",
            threads,
        ];
        let server = Server::start(&args);
        let mut clients = server.connect_echoed(2);
        let mut third = server.connect();
        third.write_all(b"is there a permit?").unwrap();
        for _ in 0..100 {
            clients.iter().for_each(|client| echo(client, b"not yet"));
        }
        assert!(client::is_silent(&third), "served without a permit");
        client::leave(clients.remove(0));
        expect_bytes(&third, b"is there a permit?");
        drop((third, clients));
        server.finish();
    }
}

#[test]
fn many_clients_that_wait_for_a_permit_are_all_served() {
    let server = Server::start(&["--max-conns", "3", "--threads", "2"]);
    let addr = server.addr();
    let one = || echo(connect(addr), b"my turn");
    thread::scope(|scope| (0..200).for_each(|_| drop(scope.spawn(one))));
    server.finish();
}

/// Talks until the other connection has ended; returns the count of words.
#[track_caller]
fn talk_until_it_ends(talker: &TcpStream, idle: &TcpStream) -> u64 {
    let (ended, end) = mpsc::channel();
    let mut words = 0;
    thread::scope(|scope| {
        scope.spawn(move || {
            expect_end(idle);
            ended.send(()).unwrap();
        });
        while end.try_recv() == Err(TryRecvError::Empty) {
            echo(talker, b"I am busy");
            words += 1;
        }
    });
    words
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let limit = Duration::from_secs(1);
    let server = Server::start(&["--idle-timeout", "1s"]);
    let talker = server.connect();
    let start = Instant::now();
    let (silent, quiet) = (server.connect(), server.connect());
    echo(&quiet, b"once");
    assert!(talk_until_it_ends(&talker, &silent) > 0);
    assert!(start.elapsed() >= limit, "too early: {:?}", start.elapsed());
    talk_until_it_ends(&talker, &quiet);
    echo(&talker, b"still here");
    drop(talker);
    server.finish();
}

#[test]
fn without_an_idle_timeout_no_client_is_closed() {
    let server = Server::start(&[]);
    let other = Server::start(&["--idle-timeout", "300ms"]);
    let silent = server.connect_echoed(1);
    (0..3).for_each(|_| expect_end(other.connect()));
    echo(&silent[0], b"still here");
    drop(silent);
    other.finish();
    server.finish();
}

#[test]
fn a_client_that_takes_nothing_is_closed_and_a_client_without_output_is_not() {
    let args = ["--write-timeout", "1s", "--log-level", "debug"];
    let mut server = Server::start(&args);
    let silent = server.connect_echoed(1);
    let blocked = server.connect();
    let written = fill(&server, &blocked);
    let line = server.stderr.wait_for("--write-timeout passed");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    assert!(client::read_until_closed(&blocked) < written);
    echo(&silent[0], b"still here");
    drop(silent);
    server.finish();
}

#[test]
fn a_client_that_takes_little_at_a_time_is_not_closed() {
    let server = Server::start(&["--write-timeout", "1s"]);
    let (client, other) = (server.connect(), server.connect());
    // A small buffer: what the client reads must be seen by the server at once, not megabytes
    // later.
    sockopt::set_socket_recv_buffer_size(&client, 64 * 1024).unwrap();
    let written = fill(&server, &client);
    fill(&server, &other); // it takes nothing, and its end shows that the timeout has passed
    let (ended, end) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The server closes with unread input, which resets: no byte need be read to see that.
            eventually("the other is closed", || {
                other.take_error().unwrap().is_some()
            });
            drop(ended);
        });
        pattern::expect(LittleByLittle { from: &client, end }, written);
    });
    echo(&client, b"still here");
    drop(client);
    server.finish();
}

/// Reads a little at a time, until the other connection has ended.
struct LittleByLittle<'a> {
    from: &'a TcpStream,
    end: Receiver<()>,
}

impl Read for LittleByLittle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let narrow =
            self.end.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout);
        let most = if narrow { 4 * 1024 } else { buffer.len() };
        let most = most.min(buffer.len());
        self.from.read(&mut buffer[..most])
    }
}

#[test]
fn echo_never_reaches_the_hard_limit() {
    let args = ["--out-soft", "1KiB", "--out-hard", "1KiB"];
    let server = Server::start(&args);
    let client = server.connect();
    pattern::expect(&client, fill(&server, &client));
    client::echo_pattern(&server.connect(), 4 << 20);
    drop(client);
    server.finish();
}

#[test]
fn a_small_soft_limit_pauses_reading() {
    let server = Server::start(&["--out-soft", "1", "--out-hard", "64KiB"]);
    let client = server.connect();
    pattern::expect(&client, fill(&server, &client));
    client::echo_pattern(&client, 1 << 20);
    server.finish();
}

#[test]
fn chargen_closes_a_client_that_takes_nothing() {
    let mut server = Server::start(&["--mode", "chargen", "--write-timeout", "300ms"]);
    let client = server.connect();
    server.stderr.wait_for("--write-timeout passed");
    client::read_until_closed(&client);
    server.drain();
}

#[test]
fn without_max_conns_as_many_clients_are_served_as_there_are_fds_for() {
    let args = ["--listen", "127.0.0.1:0"];
    let mut server = Server::run(command::main_with_files(40, &args));
    let clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
    let line = server.stderr.wait_for("full: others wait");
    assert!(line.contains("INFO"), "{line}");
    server.expect_rest();
    echo(&clients[0], b"inside");
    clients.into_iter().for_each(|client| {
        echo(&client, b"my turn has come");
        client::leave(client);
    });
    server.finish();
}

#[test]
fn without_max_conns_clients_beyond_the_fds_are_refused() {
    let args = ["--listen", "127.0.0.1:0", "--when-full", "refuse"];
    let mut server = Server::run(command::main_with_files(40, &args));
    let clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
    server.stderr.wait_for("refused");
    echo(&clients[0], b"inside");
    expect_end(&clients[79]);
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

/// A server whose limit is lowered to 40 fds after its start, with more clients than that.
fn overfull_server() -> (Server, Vec<TcpStream>) {
    let mut server = Server::start(&[]);
    server.limit_files(40);
    let clients = (0..80).map(|_| server.connect()).collect();
    let line = server.stderr.wait_for("accepting pauses");
    assert!(line.contains("WARN"), "{line}");
    (server, clients)
}

#[test]
fn a_server_without_fds_does_not_spin() {
    let (server, clients) = overfull_server();
    server.expect_rest();
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

#[test]
fn a_server_without_fds_still_serves_its_clients() {
    let (server, clients) = overfull_server();
    clients[..10]
        .iter()
        .for_each(|client| echo(client, b"undisturbed"));
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

#[test]
fn once_fds_are_free_a_new_client_is_served_within_a_second() {
    let (server, clients) = overfull_server();
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    let start = Instant::now();
    server.still_echoes();
    // The longest pause is 1 s; the rest is for a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "after {:?}",
        start.elapsed()
    );
    server.finish();
}

#[test]
fn a_server_without_fds_drains() {
    let (server, clients) = overfull_server();
    let reader =
        thread::spawn(move || clients.iter().map(client::read_until_closed).sum::<usize>());
    server.drain();
    assert_eq!(reader.join().unwrap(), 0);
}

#[test]
fn a_client_is_refused_if_there_is_no_memory_for_its_green_thread() {
    let mut server = Server::start(&["--style", "green"]);
    drop(server.connect_echoed(50)); // their stacks stay in the pool
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.limit_memory();
    let inside = server.connect_echoed(50);
    for _ in 0..10 {
        assert_eq!(client::read_until_closed(&server.connect()), 0);
    }
    let line = server.stderr.wait_for("refused");
    assert!(line.contains("WARN") && line.contains("stack"), "{line}");
    inside
        .iter()
        .for_each(|client| echo(client, b"undisturbed"));
    drop(inside);
    server.finish();
}
