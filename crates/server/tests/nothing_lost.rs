//! Whatever clients do, no byte is lost, no other client is delayed, and memory is bounded.

mod harness;

use harness::client::{self, connect, echo, echo_pattern, fill};
use harness::server::Server;
use harness::{command, eventually, pattern, raise_limit_of_files};
use rustix::net::sockopt;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_client_that_half_closes_gets_its_whole_echo() {
    let server = Server::start(&[]);
    echo_pattern(&server.connect(), 8 << 20);
    server.finish();
}

#[test]
fn a_client_that_half_closes_before_it_reads_gets_its_whole_echo() {
    let server = Server::start(&[]);
    let client = server.connect();
    let written = fill(&server, &client);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(pattern::expect_to_end(&client), written);
    server.finish();
}

#[test]
fn output_that_waits_when_the_client_ends_is_sent() {
    let server = Server::start(&["--out-soft", "32MiB", "--out-hard", "64MiB"]);
    let client = server.connect();
    sockopt::set_socket_recv_buffer_size(&client, 64 * 1024).unwrap();
    pattern::write(&client, 16 << 20); // more than the kernel takes, less than --out-soft
    client.shutdown(Shutdown::Write).unwrap();
    eventually("the server read all", || server.unread_from(&client) == 0);
    server.still_echoes(); // the server has seen the end by now
    assert_eq!(pattern::expect_to_end(&client), 16 << 20);
    server.finish();
}

#[test]
fn words_and_end_in_one_segment_are_both_seen() {
    let server = Server::start(&[]);
    for _ in 0..200 {
        let client = server.connect();
        pattern::write(&client, 100);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(pattern::expect_to_end(&client), 100);
    }
    server.finish();
}

#[test]
fn words_and_end_that_arrive_before_the_accept_are_both_seen() {
    let server = Server::start(&[]);
    server.freeze();
    let clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for client in &clients {
        pattern::write(client, 1000);
        client.shutdown(Shutdown::Write).unwrap();
    }
    server.thaw();
    for client in clients {
        assert_eq!(pattern::expect_to_end(&client), 1000);
    }
    server.finish();
}

#[test]
fn a_hundred_mebibytes_pass_through_one_connection() {
    let server = Server::start(&[]);
    echo_pattern(&server.connect(), 100 << 20);
    server.finish();
}

#[test]
fn a_unix_socket_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = Server::run(command::main(&[
        "--listen",
        &format!("unix:{}", path.display()),
    ]));
    let client = client::connect_unix(UnixStream::connect(&path).unwrap());
    echo_pattern(&client, 16 << 20);
    server.drain();
}

#[test]
fn twenty_thousand_bytes_pass_one_by_one() {
    const BYTES: usize = 20_000;
    let server = Server::start(&[]);
    let client = server.connect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 0..BYTES {
                pattern::write_piece(&client, offset, 1);
            }
            client.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(pattern::expect_to_end(&client), BYTES);
    });
    server.finish();
}

#[test]
fn slow_readers_lose_nothing_and_cost_little_memory() {
    let server = Server::start(&[]);
    let clients = [(); 8].map(|()| server.connect());
    let before_kib = server.resident_kib();
    let written = clients.each_ref().map(|client| fill(&server, client));
    let grown_kib = server.resident_kib().saturating_sub(before_kib);
    // 8 × 64 KiB of --out-soft, what was read beyond it, and the loop's chunks.
    assert!(
        grown_kib < 8 * 1024,
        "the server grew by {grown_kib} KiB for {written:?} bytes"
    );
    for (client, written) in clients.iter().zip(written) {
        pattern::expect(client, written);
        assert!(client::is_silent(client));
    }
    server.finish();
}

#[test]
fn a_slow_reader_that_resumes_can_continue_talking() {
    let server = Server::start(&[]);
    let client = server.connect();
    for _ in 0..3 {
        pattern::expect(&client, fill(&server, &client));
        echo(&client, b"are you still there?");
    }
    server.finish();
}

#[test]
fn five_hundred_resets_harm_no_other_client() {
    let server = Server::start(&[]);
    let witness = server.connect();
    for number in 0..500 {
        let client = server.connect();
        match number % 4 {
            0 => {}                                // at once
            1 => echo(&client, b"hello"),          // after an answer
            2 => pattern::write(&client, 100_000), // with the answer on its way
            _ => client.shutdown(Shutdown::Write).unwrap(),
        }
        client::reset(client);
        echo(&witness, b"undisturbed");
    }
    drop(witness);
    server.finish();
}

#[test]
fn a_reset_while_output_waits_harms_no_other_client() {
    let server = Server::start(&[]);
    let files = server.open_files();
    for _ in 0..5 {
        let client = server.connect();
        fill(&server, &client);
        client::reset(client);
    }
    eventually("the server closed its ends", || {
        server.open_files() <= files
    });
    server.finish();
}

#[test]
fn a_flood_of_two_thousand_connects_is_served() {
    raise_limit_of_files();
    let server = Server::start(&[]);
    let addr = server.addr();
    let flood = || (0..500).map(|_| connect(addr)).collect::<Vec<TcpStream>>();
    let clients = thread::scope(|scope| {
        let floods = [(); 4].map(|()| scope.spawn(flood));
        floods
            .map(|flood| flood.join().unwrap())
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    assert_eq!(clients.len(), 2000);
    clients
        .iter()
        .for_each(|client| echo(client, b"one of many"));
    drop(clients);
    server.finish();
}

#[test]
fn more_connections_than_the_backlog_are_eventually_served() {
    let server = Server::start(&["--backlog", "1"]);
    let addr = server.addr();
    let one = || echo(connect(addr), b"one of a few");
    thread::scope(|scope| (0..5).for_each(|_| drop(scope.spawn(one))));
    server.finish();
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let server = Server::start(&[]);
    server.still_echoes();
    let addr = server.addr();
    let storm = || (0..1000).for_each(|_| drop(connect(addr)));
    thread::scope(|scope| {
        [(); 2]
            .map(|()| scope.spawn(storm))
            .map(|storm| storm.join().unwrap())
    });
    let idle_files = 32; // stdio, epoll, listeners, reserve, signals
    eventually("the server closed its ends", || {
        server.open_files() < idle_files
    });
    server.finish();
}

#[test]
fn a_silent_client_delays_no_other_client() {
    let server = Server::start(&[]);
    let silent = [(); 20].map(|()| server.connect());
    let talker = server.connect();
    for _ in 0..1000 {
        echo(&talker, b"no delay");
    }
    assert!(silent.iter().all(client::is_silent));
    drop((silent, talker));
    server.finish();
}

#[test]
fn slow_readers_delay_no_other_client() {
    let server = Server::start(&[]);
    let slow = [(); 10].map(|()| server.connect());
    for client in &slow {
        fill(&server, client);
    }
    let quiet = server.connect();
    for _ in 0..1000 {
        echo(&quiet, b"no delay");
    }
    drop((slow, quiet));
    server.finish();
}

#[test]
fn waiting_clients_cost_no_cpu_time() {
    let server = Server::start(&[]);
    let clients = [(); 3].map(|()| server.connect());
    let [idle, blocked, ended] = &clients;
    echo(idle, b"that was all");
    fill(&server, blocked);
    fill(&server, ended);
    ended.shutdown(Shutdown::Write).unwrap();
    server.expect_rest();
    drop(clients);
    server.finish();
}

#[test]
fn a_quiet_client_is_served_between_the_bytes_of_a_flood() {
    let server = Server::start(&[]);
    let (flooder, quiet) = (server.connect(), server.connect());
    let enough = AtomicBool::new(false);
    let flood = || {
        while !enough.load(Ordering::Relaxed) {
            pattern::write(&flooder, 64 * 1024);
        }
        flooder.shutdown(Shutdown::Write).unwrap();
    };
    thread::scope(|scope| {
        scope.spawn(flood);
        scope.spawn(|| client::read_until_closed(&flooder));
        // The flood never ends, so an answer that waited for its end would never come.
        (0..300).for_each(|_| echo(&quiet, b"and me?"));
        enough.store(true, Ordering::Relaxed);
    });
    drop((flooder, quiet));
    server.finish();
}

#[test]
fn two_threads_lose_nothing() {
    let server = Server::start(&["--threads", "2"]);
    let clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| echo_pattern(client, 4 << 20));
        }
    });
    drop(clients);
    server.finish();
}
