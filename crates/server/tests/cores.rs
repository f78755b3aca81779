//! Several threads share their clients evenly, and lose none of them.

mod harness;

use harness::client::expect_bytes;
use harness::server::Server;
use rustix::process::Signal;
use std::io::Write;

const THREADS: usize = 8;

/// The number of clients of each thread, as SIGUSR1 logs it.
fn clients_by_thread(server: &mut Server) -> Vec<usize> {
    server.signal(Signal::USR1);
    let count = |line: String| {
        let (_, rest) = line.split_once(" clients=").expect("it counts its clients");
        let count = rest.split(' ').next().unwrap_or_default();
        count.parse().expect("a number")
    };
    (0..THREADS)
        .map(|_| {
            count(
                server
                    .stderr
                    .wait_for("all clients and tasks of this loop follow"),
            )
        })
        .collect()
}

#[test]
fn of_64_clients_on_8_threads_the_busiest_has_at_most_1_15_times_the_mean() {
    for style in ["async", "callback", "green"] {
        let mut server = Server::start(&["--threads", "8", "--style", style]);
        let clients = server.connect_echoed(64);
        let counts = clients_by_thread(&mut server);
        assert_eq!(counts.iter().sum::<usize>(), 64, "{counts:?}");
        let busiest = *counts.iter().max().unwrap();
        println!(
            "{style}: the busiest thread has {} times the mean",
            busiest as f64 / 8.0
        );
        assert!(busiest as f64 <= 1.15 * 8.0, "{style}: {counts:?}");
        drop(clients);
        server.finish();
    }
}

#[test]
fn clients_that_have_left_make_room_for_others() {
    let mut server = Server::start(&["--threads", "8"]);
    for _ in 0..5 {
        drop(server.connect_echoed(30));
    }
    let clients = server.connect_echoed(64);
    harness::eventually("those that left are not counted", || {
        let counts = clients_by_thread(&mut server);
        counts.iter().sum::<usize>() == 64
    });
    drop(clients);
    server.finish();
}

#[test]
fn clients_on_their_way_between_threads_are_answered_in_a_drain() {
    for style in ["async", "callback", "green"] {
        let mut server = Server::start(&["--threads", "8", "--drain", "1h", "--style", style]);
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let mut client = server.connect();
                client.write_all(b"am I lost?").unwrap();
                client
            })
            .collect();
        server.signal(Signal::TERM);
        clients
            .iter()
            .for_each(|client| expect_bytes(client, b"am I lost?"));
        drop(clients);
        server.expect_exit(0);
    }
}
