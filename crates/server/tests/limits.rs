//! What the server does at its limits: connections, time, waiting output, open files.

mod harness;

use harness::client::{self, connect, echo, fill, hear, hear_end};
use harness::server::Server;
use harness::{command, eventually, pattern};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_connection_too_many_is_refused_until_a_place_is_free() {
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
            assert_eq!(client::hear_out(&server.connect()), 0);
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

/// However the threads race for the connections that come.
#[test]
fn nobody_is_refused_while_there_is_a_place() {
    let limits = ["--max-conns", "2", "--when-full", "refuse"];
    let server = Server::start(&[&limits[..], &["--threads", "2"]].concat());
    for _ in 0..500 {
        let clients = server.connect_echoed(2);
        clients.into_iter().for_each(client::leave);
    }
    server.finish();
}

#[test]
fn a_connection_too_many_waits_until_a_place_is_free() {
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
        third.write_all(b"is there a place?").unwrap();
        for _ in 0..100 {
            clients.iter().for_each(|client| echo(client, b"not yet"));
        }
        assert!(client::is_silent(&third), "served without a place");
        client::leave(clients.remove(0));
        hear(&third, b"is there a place?");
        drop((third, clients));
        server.finish();
    }
}

#[test]
fn many_that_wait_for_a_place_are_all_served() {
    let server = Server::start(&["--max-conns", "3", "--threads", "2"]);
    let addr = server.addr();
    let one = || echo(connect(addr), b"my turn");
    thread::scope(|scope| (0..200).for_each(|_| drop(scope.spawn(one))));
    server.finish();
}

/// Talks until the other connection has ended; gives the count of words.
#[track_caller]
fn talk_until_it_ends(talker: &TcpStream, idle: &TcpStream) -> u64 {
    let (ended, end) = mpsc::channel();
    let mut words = 0;
    thread::scope(|scope| {
        scope.spawn(move || {
            hear_end(idle);
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
fn without_an_idle_timeout_nobody_is_closed() {
    let server = Server::start(&[]);
    let other = Server::start(&["--idle-timeout", "300ms"]);
    let silent = server.connect_echoed(1);
    (0..3).for_each(|_| hear_end(other.connect()));
    echo(&silent[0], b"still here");
    drop(silent);
    other.finish();
    server.finish();
}

#[test]
fn a_client_that_takes_nothing_is_closed_and_one_with_nothing_to_take_is_not() {
    let args = ["--write-timeout", "1s", "--log-level", "debug"];
    let mut server = Server::start(&args);
    let silent = server.connect_echoed(1);
    let blocked = server.connect();
    let written = fill(&server, &blocked);
    let line = server.stderr.wait_for("--write-timeout passed");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    assert!(client::hear_out(&blocked) < written);
    echo(&silent[0], b"still here");
    drop(silent);
    server.finish();
}

#[test]
fn a_client_that_takes_little_by_little_is_not_closed() {
    let server = Server::start(&["--write-timeout", "1s"]);
    let (client, other) = (server.connect(), server.connect());
    // What the client takes is to reach the server at once, not megabytes later.
    sockopt::set_socket_recv_buffer_size(&client, 64 * 1024).unwrap();
    let written = fill(&server, &client);
    fill(&server, &other); // it takes nothing, and says when the time is over
    let (ended, end) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A reset, since the server closes with input unread: no byte need be read to see it.
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

/// Reads like a narrow line, until something else has ended.
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
fn a_small_soft_limit_holds_reading_back() {
    let server = Server::start(&["--out-soft", "1", "--out-hard", "64KiB"]);
    let client = server.connect();
    pattern::expect(&client, fill(&server, &client));
    client::echo_pattern(&client, 1 << 20);
    server.finish();
}

#[test]
fn chargen_to_a_client_that_takes_nothing_ends() {
    let mut server = Server::start(&["--mode", "chargen", "--write-timeout", "300ms"]);
    let client = server.connect();
    server.stderr.wait_for("--write-timeout passed");
    client::hear_out(&client);
    server.drain();
}

#[test]
fn without_max_conns_as_many_are_let_in_as_there_are_files_for() {
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
fn without_max_conns_those_for_whom_there_are_no_files_are_refused() {
    let args = ["--listen", "127.0.0.1:0", "--when-full", "refuse"];
    let mut server = Server::run(command::main_with_files(40, &args));
    let clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
    server.stderr.wait_for("refused");
    echo(&clients[0], b"inside");
    hear_end(&clients[79]);
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

/// A server that may open 40 files from now on, which it does not know, with more clients than that.
fn overfull_server() -> (Server, Vec<TcpStream>) {
    let mut server = Server::start(&[]);
    server.limit_files(40);
    let clients = (0..80).map(|_| server.connect()).collect();
    let line = server.stderr.wait_for("accepting pauses");
    assert!(line.contains("WARN"), "{line}");
    (server, clients)
}

#[test]
fn out_of_files_it_does_not_spin() {
    let (server, clients) = overfull_server();
    server.expect_rest();
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

#[test]
fn out_of_files_those_inside_are_served() {
    let (server, clients) = overfull_server();
    clients[..10]
        .iter()
        .for_each(|client| echo(client, b"undisturbed"));
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.finish();
}

#[test]
fn once_files_are_free_a_fresh_client_is_served_within_a_second() {
    let (server, clients) = overfull_server();
    drop(clients);
    eventually("the clients' files are closed", || server.open_files() < 20);
    let start = Instant::now();
    server.still_echoes();
    // The longest pause is 1 s; the rest is patience with a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "after {:?}",
        start.elapsed()
    );
    server.finish();
}

#[test]
fn out_of_files_it_drains() {
    let (server, clients) = overfull_server();
    let reader = thread::spawn(move || clients.iter().map(client::hear_out).sum::<usize>());
    server.drain();
    assert_eq!(reader.join().unwrap(), 0);
}

#[test]
fn a_client_for_whose_green_thread_there_is_no_memory_is_refused() {
    let mut server = Server::start(&["--style", "green"]);
    drop(server.connect_echoed(50)); // their stacks are there for others
    eventually("the clients' files are closed", || server.open_files() < 20);
    server.limit_memory();
    let inside = server.connect_echoed(50);
    for _ in 0..10 {
        assert_eq!(client::hear_out(&server.connect()), 0);
    }
    let line = server.stderr.wait_for("refused");
    assert!(line.contains("WARN") && line.contains("stack"), "{line}");
    inside
        .iter()
        .for_each(|client| echo(client, b"undisturbed"));
    drop(inside);
    server.finish();
}
