//! How the server drains: what was received is answered, and no client can delay the end forever.

mod harness;

use harness::chat::Guest;
use harness::client::{self, echo, expect_bytes, expect_end, fill};
use harness::pattern;
use harness::server::{REPEAT, Server};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

#[test]
fn a_server_without_clients_ends_at_once_and_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        for threads in ["1", "2"] {
            let mut server = Server::start(&["--threads", threads, "--drain", "1h"]);
            server.still_echoes();
            server.signal(signal);
            server.expect_exit(0);
        }
    }
}

#[test]
fn idle_clients_get_the_end_at_once() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads, "--drain", "1h"]);
        let clients = server.connect_echoed(20);
        server.signal(Signal::TERM);
        clients.iter().for_each(expect_end);
        drop(clients);
        server.expect_exit(0);
    }
}

/// Reads to the end: the pattern, and at least as many bytes as the server had received.
#[track_caller]
fn expect_answer(client: &TcpStream, received: usize) {
    let answered = pattern::expect_to_end(client);
    assert!(
        answered >= received,
        "{received} bytes were received, {answered} answered"
    );
}

#[test]
fn what_was_received_before_the_signal_is_answered() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads]);
        let clients = server.connect_echoed(10);
        server.freeze();
        for client in &clients {
            client.set_nonblocking(true).unwrap();
            assert!(pattern::write_what_fits(client, 0) > 0);
            client.set_nonblocking(false).unwrap();
        }
        let received = clients.iter().map(|client| server.unread_from(client));
        let received: Vec<_> = received.collect();
        assert!(received.iter().all(|bytes| *bytes > 0), "{received:?}");
        server.signal(Signal::TERM);
        server.thaw();
        thread::scope(|scope| {
            for (client, received) in clients.iter().zip(received) {
                scope.spawn(move || expect_answer(client, received));
            }
        });
        drop(clients);
        server.expect_exit(0);
    }
}

/// Stops a frozen server while it has unread words from all these clients, and expects answers to
/// all.
#[track_caller]
fn stop_with_unread(mut server: Server, mut clients: Vec<TcpStream>, words: &[u8]) {
    for client in &mut clients {
        client.write_all(words).unwrap();
    }
    server.signal(Signal::TERM);
    server.thaw();
    for client in clients {
        expect_bytes(&client, words);
        expect_end(&client);
    }
    server.expect_exit(0);
}

#[test]
fn small_words_received_before_the_signal_are_answered_whole() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--threads", threads]);
        let clients = server.connect_echoed(50);
        server.freeze();
        stop_with_unread(server, clients, b"last words");
    }
}

#[test]
fn a_slow_reader_gets_the_answer_to_all_that_was_received() {
    let mut server = Server::start(&[]);
    let client = server.connect();
    fill(&server, &client);
    client.shutdown(Shutdown::Write).unwrap();
    let received = server.unread_from(&client);
    server.signal(Signal::TERM);
    server.stderr.wait_for("draining");
    expect_answer(&client, received);
    drop(client);
    server.expect_exit(0);
}

#[test]
fn clients_that_wait_in_the_backlog_are_answered() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--threads", threads]);
        server.still_echoes();
        server.freeze();
        let clients = (0..20).map(|_| server.connect()).collect();
        stop_with_unread(server, clients, b"too late?");
    }
}

#[test]
fn a_client_that_waits_for_a_permit_is_answered() {
    let mut server = Server::start(&["--max-conns", "1"]);
    let first = server.connect_echoed(1);
    let mut second = server.connect();
    second.write_all(b"is there a permit?").unwrap();
    echo(&first[0], b"not yet");
    server.signal(Signal::TERM);
    expect_end(&first[0]);
    drop(first);
    expect_bytes(&second, b"is there a permit?");
    expect_end(&second);
    drop(second);
    server.expect_exit(0);
}

#[test]
fn all_clients_that_wait_for_a_permit_are_answered_together() {
    let mut server = Server::start(&["--max-conns", "2", "--drain", "30s"]);
    let mut clients: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"is there a permit?").unwrap();
    }
    server.signal(Signal::TERM);
    for client in &clients {
        expect_bytes(client, b"is there a permit?");
        expect_end(client); // in any order: no client has to leave for another to be served
    }
    drop(clients);
    server.expect_exit(0);
}

#[test]
fn a_hangup_stops_nothing() {
    let mut server = Server::start(&[]);
    let idle = server.connect_echoed(1);
    server.signal(Signal::HUP);
    server
        .stderr
        .wait_for("SIGHUP reloads nothing: there is no --config");
    echo(&idle[0], b"still here");
    drop(idle);
    server.finish();
}

#[test]
fn new_connections_are_refused_during_the_drain() {
    let mut server = Server::start(&["--drain", "1h"]);
    let holder = server.connect();
    let written = fill(&server, &holder);
    server.signal(Signal::TERM);
    harness::eventually("connections are refused", || {
        let refused = TcpStream::connect(server.addr()).map_err(|error| error.kind());
        matches!(refused, Err(ErrorKind::ConnectionRefused))
    });
    assert!(
        server.child.try_wait().unwrap().is_none(),
        "it refuses because it has ended"
    );
    assert!(pattern::expect_to_end(&holder) <= written);
    drop(holder);
    server.expect_exit(0);
}

#[test]
fn a_client_that_does_not_close_is_closed_after_the_linger() {
    for threads in ["1", "2"] {
        // The exit code would be 1 if --drain passed.
        let server = Server::start(&["--threads", threads, "--drain", "30s"]);
        let clients = server.connect_echoed(5);
        server.drain();
        clients.iter().for_each(expect_end);
    }
}

#[test]
fn a_client_that_keeps_talking_does_not_delay_the_drain() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--drain", "30s", "--threads", threads]);
        let mut clients = server.connect_echoed(2);
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| talk_until_reset(client));
            }
            server.signal(Signal::TERM);
        });
        server.expect_exit(0);
    }
}

/// Sends and reads echoes; after the server's end it only sends.
fn talk_until_reset(mut client: &TcpStream) {
    let mut word = *b"one more thing: ";
    while client.write_all(&word).is_ok() && client.read_exact(&mut word).is_ok() {}
    while client.write_all(&word).is_ok() {}
}

#[test]
fn a_flood_does_not_delay_the_drain() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--drain", "30s", "--threads", threads]);
        let client = server.connect();
        thread::scope(|scope| {
            // Until the server is gone, and each write is answered with a reset.
            scope.spawn(|| while (&client).write_all(&[b'x'; 64 * 1024]).is_ok() {});
            (&client).read_exact(&mut [0; 1 << 20]).unwrap();
            server.signal(Signal::TERM);
            client::read_until_closed(&client);
        });
        server.expect_exit(0);
    }
}

#[test]
fn a_client_that_takes_nothing_is_closed_when_the_drain_is_over() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--drain", "1s", "--threads", threads]);
        let client = server.connect();
        fill(&server, &client);
        server.signal(Signal::TERM);
        server.expect_exit(1);
    }
}

#[test]
fn a_second_signal_stops_the_server_at_once() {
    let (term, int) = (Signal::TERM, Signal::INT);
    for (first, second, code) in [(term, term, 143), (int, int, 130), (term, int, 130)] {
        for threads in ["1", "2"] {
            let mut server = Server::start(&["--drain", "1h", "--threads", threads]);
            let client = server.connect();
            fill(&server, &client);
            let start = Instant::now();
            server.signal(first);
            server.stderr.wait_for("draining");
            server.insist(second, start);
            server.expect_exit(code);
        }
    }
}

/// A server with some 20 MB queued for a client, and how many bytes it has received from it.
fn start_with_much_to_send(threads: &str) -> (Server, TcpStream, usize) {
    let limits = ["--out-soft", "20MB", "--out-hard", "40MB"];
    let server = Server::start(&[&limits, &["--drain", "30s", "--threads", threads][..]].concat());
    let client = server.connect();
    let written = fill(&server, &client);
    let received = written - server.on_their_way_from(&client);
    (server, client, received)
}

/// Signals twice; true if this machine was fast enough for the two to count as one request.
#[track_caller]
fn stop_twice(server: &mut Server, first: Signal, again: Signal) -> bool {
    let start = Instant::now();
    server.signal(first);
    server.signal(again);
    server.stderr.wait_for("draining");
    server.signal(again); // this signal cannot have merged with the first
    start.elapsed() < REPEAT
}

#[test]
fn a_stop_request_that_arrives_twice_cuts_no_drain_short() {
    let (term, int) = (Signal::TERM, Signal::INT);
    for (first, again) in [(int, int), (int, term), (term, int)] {
        for threads in ["1", "2"] {
            let (mut server, client, received) = start_with_much_to_send(threads);
            if stop_twice(&mut server, first, again) {
                expect_answer(&client, received);
                drop(client);
                server.expect_exit(0);
            }
        }
    }
}

#[test]
fn a_stop_request_that_arrives_twice_says_how_to_stop_at_once() {
    let mut server = Server::start(&["--drain", "1h"]);
    let client = server.connect();
    fill(&server, &client);
    let start = Instant::now();
    if stop_twice(&mut server, Signal::INT, Signal::INT) {
        let line = server.stderr.wait_for("which counts once");
        assert!(line.contains("signal again to stop at once"), "{line}");
        server.insist(Signal::INT, start);
        server.expect_exit(130);
    }
}

#[test]
fn a_repeated_signal_while_the_server_ends_keeps_its_exit_code() {
    for _ in 0..50 {
        let mut server = Server::start(&["--threads", "2"]);
        while server.child.try_wait().unwrap().is_none() {
            server.signal(Signal::INT); // the drain is short, as nothing is connected
        }
        server.expect_exit(0);
    }
}

#[test]
fn a_chat_drains() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--mode", "chat", "--threads", threads]);
        let clients = [(); 5].map(|()| server.connect());
        server.signal(Signal::TERM);
        clients.iter().for_each(expect_end);
        drop(clients);
        server.expect_exit(0);
    }
}

#[test]
fn what_was_said_in_a_chat_before_the_signal_is_delivered() {
    // Which guest receives what from another thread is a race: a few more rounds of it.
    for threads in ["1", "2", "2", "2", "2"] {
        let mut server = Server::start(&["--mode", "chat", "--threads", threads]);
        let mut guests = Vec::new();
        for _ in 0..20 {
            let guest = Guest::join(&server, &mut guests.iter_mut().collect::<Vec<_>>());
            guests.push(guest);
        }
        server.freeze();
        for guest in &mut guests {
            guest.write(b"last words\n");
        }
        server.signal(Signal::TERM);
        server.thaw();
        for guest in &mut guests {
            let received = std::io::read_to_string(guest.stream()).unwrap();
            assert_eq!(
                received,
                "last words\n".repeat(19),
                "with {threads} threads"
            );
        }
        drop(guests);
        server.expect_exit(0);
    }
}

#[test]
fn a_drain_that_waits_does_not_spin() {
    let mut server = Server::start(&["--drain", "1h"]);
    let client = server.connect();
    fill(&server, &client);
    server.signal(Signal::TERM);
    server.stderr.wait_for("draining");
    server.expect_rest();
    client::reset(client);
    server.expect_exit(0);
}

#[test]
fn chargen_drains() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--mode", "chargen", "--threads", threads]);
        let clients = [(); 5].map(|()| server.connect());
        for mut client in &clients {
            client.read_exact(&mut [0; 74]).unwrap();
        }
        server.signal(Signal::TERM);
        for client in clients {
            assert!(client::read_until_closed(&client) > 0);
        }
        server.expect_exit(0);
    }
}

#[test]
fn chargen_whose_clients_take_nothing_ends() {
    let server = Server::start(&["--mode", "chargen", "--drain", "30s"]);
    let clients = [(); 5].map(|()| server.connect());
    for mut client in &clients {
        client.read_exact(&mut [0; 74]).unwrap();
    }
    server.drain();
    drop(clients);
}

#[test]
fn daytime_and_discard_drain() {
    for mode in ["daytime", "discard"] {
        let server = Server::start(&["--mode", mode, "--drain", "30s"]);
        let client = server.connect();
        server.drain();
        drop(client);
    }
}

#[test]
fn a_reset_while_the_server_writes_does_not_kill_it() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--mode", "chargen", "--threads", threads]);
        for _ in 0..100 {
            let mut client = server.connect();
            client.read_exact(&mut [0; 1000]).unwrap();
            client::reset(client);
        }
        server.connect().read_exact(&mut [0; 74]).unwrap();
        server.drain();
    }
}

#[test]
fn sigpipe_does_not_kill_the_server() {
    let server = Server::start(&[]);
    server.signal(Signal::PIPE);
    server.finish();
}

#[test]
fn a_server_that_was_stopped_and_continued_keeps_serving() {
    let server = Server::start(&["--threads", "2"]);
    let clients = server.connect_echoed(5);
    server.freeze();
    server.thaw();
    clients
        .iter()
        .for_each(|client| echo(client, b"back again"));
    drop(clients);
    server.finish();
}
