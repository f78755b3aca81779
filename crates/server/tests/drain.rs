//! How the server ends: what was received is answered, and nobody can hold it for ever.

mod harness;

use harness::chat::Guest;
use harness::client::{self, echo, fill, hear, hear_end};
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
fn idle_clients_hear_the_end_at_once() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads, "--drain", "1h"]);
        let clients = server.connect_echoed(20);
        server.signal(Signal::TERM);
        clients.iter().for_each(hear_end);
        drop(clients);
        server.expect_exit(0);
    }
}

/// Reads to the end; what comes is the pattern, and at least what the server had received.
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

#[test]
fn small_words_received_before_the_signal_are_answered_whole() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads]);
        let mut clients = server.connect_echoed(50);
        server.freeze();
        clients
            .iter_mut()
            .for_each(|client| client.write_all(b"last words").unwrap());
        server.signal(Signal::TERM);
        server.thaw();
        for client in clients {
            hear(&client, b"last words");
            hear_end(&client);
        }
        server.expect_exit(0);
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
        let mut server = Server::start(&["--threads", threads]);
        server.still_echoes();
        server.freeze();
        let mut clients = [(); 20].map(|()| server.connect());
        clients
            .iter_mut()
            .for_each(|client| client.write_all(b"too late?").unwrap());
        server.signal(Signal::TERM);
        server.thaw();
        for client in clients {
            hear(&client, b"too late?");
            hear_end(&client);
        }
        server.expect_exit(0);
    }
}

#[test]
fn a_client_that_waits_for_a_place_is_answered() {
    let mut server = Server::start(&["--max-conns", "1"]);
    let first = server.connect_echoed(1);
    let mut second = server.connect();
    second.write_all(b"is there a place?").unwrap();
    echo(&first[0], b"not yet");
    server.signal(Signal::TERM);
    hear_end(&first[0]);
    drop(first);
    hear(&second, b"is there a place?");
    hear_end(&second);
    drop(second);
    server.expect_exit(0);
}

#[test]
fn all_who_wait_for_a_place_are_answered_together() {
    let mut server = Server::start(&["--max-conns", "2", "--drain", "30s"]);
    let mut clients: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"is there a place?").unwrap();
    }
    server.signal(Signal::TERM);
    for client in &clients {
        hear(client, b"is there a place?");
        hear_end(client); // in any order: none of them has to leave for another to be served
    }
    drop(clients);
    server.expect_exit(0);
}

#[test]
fn a_terminal_that_is_closed_drains_the_server() {
    let mut server = Server::start(&[]);
    let idle = server.connect_echoed(1);
    server.signal(Signal::HUP);
    hear_end(&idle[0]);
    drop(idle);
    server.expect_exit(0);
}

#[test]
fn nobody_new_is_let_in() {
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
        "it refuses because it is gone"
    );
    assert!(pattern::expect_to_end(&holder) <= written);
    drop(holder);
    server.expect_exit(0);
}

#[test]
fn a_client_that_does_not_close_is_left_after_the_linger() {
    for threads in ["1", "2"] {
        // The exit code tells: it is 1 when --drain is over.
        let server = Server::start(&["--threads", threads, "--drain", "30s"]);
        let clients = server.connect_echoed(5);
        server.drain();
        clients.iter().for_each(hear_end);
    }
}

#[test]
fn a_client_that_talks_on_does_not_hold_the_drain() {
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

/// Asks and listens; after the server's end it goes on talking into the void.
fn talk_until_reset(mut client: &TcpStream) {
    let mut word = *b"one more thing: ";
    while client.write_all(&word).is_ok() && client.read_exact(&mut word).is_ok() {}
    while client.write_all(&word).is_ok() {}
}

#[test]
fn a_flood_does_not_hold_the_drain() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--drain", "30s", "--threads", threads]);
        let client = server.connect();
        thread::scope(|scope| {
            // Until the server is gone, and each word is answered with a reset.
            scope.spawn(|| while (&client).write_all(&[b'x'; 64 * 1024]).is_ok() {});
            (&client).read_exact(&mut [0; 1 << 20]).unwrap();
            server.signal(Signal::TERM);
            client::hear_out(&client);
        });
        server.expect_exit(0);
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up_when_the_drain_is_over() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--drain", "1s", "--threads", threads]);
        let client = server.connect();
        fill(&server, &client);
        server.signal(Signal::TERM);
        server.expect_exit(1);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
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

/// A server that has some 20 MB for a client, and how much it has received from it.
fn start_with_much_to_send(threads: &str) -> (Server, TcpStream, usize) {
    let limits = ["--out-soft", "20MB", "--out-hard", "40MB"];
    let server = Server::start(&[&limits, &["--drain", "30s", "--threads", threads][..]].concat());
    let client = server.connect();
    let written = fill(&server, &client);
    let received = written - server.on_their_way_from(&client);
    (server, client, received)
}

/// Asks the server to stop, and asks again; true if this machine was fast enough for one request.
#[track_caller]
fn stop_twice(server: &mut Server, first: Signal, again: Signal) -> bool {
    let start = Instant::now();
    server.signal(first);
    server.signal(again);
    server.stderr.wait_for("draining");
    server.signal(again); // this one cannot have merged with the first
    start.elapsed() < REPEAT
}

#[test]
fn a_stop_request_that_arrives_twice_cuts_no_drain_short() {
    let (term, int, hup) = (Signal::TERM, Signal::INT, Signal::HUP);
    for (first, again) in [(int, int), (int, term), (term, int), (hup, term)] {
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
fn a_repeat_that_finds_the_server_ending_leaves_its_exit_code() {
    for _ in 0..50 {
        let mut server = Server::start(&["--threads", "2"]);
        while server.child.try_wait().unwrap().is_none() {
            server.signal(Signal::INT); // ends in a moment, as nothing is connected
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
        clients.iter().for_each(hear_end);
        drop(clients);
        server.expect_exit(0);
    }
}

#[test]
fn what_was_said_in_a_chat_before_the_signal_is_heard() {
    // Who hears whom on another thread is a race: a few more rounds of it.
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
            let heard = std::io::read_to_string(guest.stream()).unwrap();
            assert_eq!(heard, "last words\n".repeat(19), "with {threads} threads");
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
            assert!(client::hear_out(&client) > 0);
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
fn a_client_that_resets_while_the_server_writes_does_not_kill_it() {
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
fn sigpipe_itself_does_not_kill_it() {
    let server = Server::start(&[]);
    server.signal(Signal::PIPE);
    server.finish();
}

#[test]
fn a_server_that_was_stopped_and_continued_serves_on() {
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
