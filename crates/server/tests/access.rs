//! Which clients may connect: `--allow`, `--deny`, `--max-per-source`, `--rate-per-source`, `--accept-rate`.
#![cfg(feature = "access")]

mod harness;

use harness::client::{
    self, connect_from, connect_unix, echo, expect_bytes, leave, read_until_closed,
};
use harness::command::{self, expect_refused};
use harness::eventually;
use harness::server::Server;
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A client that connects from this loopback address is served.
#[track_caller]
fn is_served(server: &Server, from: &str) -> TcpStream {
    let client = connect_from(server.addr(), from);
    echo(&client, b"may I come in?");
    client
}

/// A client that connects from this loopback address is closed.
#[track_caller]
fn is_closed(server: &Server, from: &str) {
    let client = connect_from(server.addr(), from);
    let _ = (&client).write_all(b"may I come in?");
    assert_eq!(read_until_closed(&client), 0, "{from} is served");
}

#[test]
fn a_denied_client_is_closed_and_the_others_are_served() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--deny", "127.0.0.2,10.0.0.0/8", "--threads", threads]);
        for _ in 0..5 {
            is_closed(&server, "127.0.0.2");
            is_served(&server, "127.0.0.3");
        }
        server
            .stderr
            .wait_for("refused: --allow and --deny exclude it refused=1 peer=127.0.0.2:");
        server.finish();
    }
}

#[test]
fn the_longest_prefix_decides() {
    let server = Server::start(&[
        "--allow=127.0.0.0/8",
        "--deny=127.1.0.0/16",
        "--allow=127.1.1.1",
    ]);
    is_served(&server, "127.0.0.1");
    is_closed(&server, "127.1.0.1");
    is_served(&server, "127.1.1.1");
    server.finish();
}

#[test]
fn clients_that_no_list_names_are_closed_where_others_are_allowed() {
    let server = Server::start(&["--allow", "127.0.0.9"]);
    is_closed(&server, "127.0.0.1");
    is_served(&server, "127.0.0.9");
    server.drain();
}

#[test]
fn a_unix_client_has_a_word_in_the_lists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    for (flags, is_served) in [
        (["--allow", "127.0.0.1"], false),
        (["--allow", "unix"], true),
        (["--deny", "unix"], false),
        (["--deny", "127.0.0.1"], true),
    ] {
        let server = Server::run(command::main(
            &[&["--listen", &listen], &flags[..]].concat(),
        ));
        let client = connect_unix(UnixStream::connect(&path).unwrap());
        if is_served {
            echo(&client, b"hello");
        } else {
            client::expect_end(&client);
        }
        drop(client);
        server.drain();
    }
}

#[test]
fn refusals_take_one_line_per_second_and_kind() {
    let mut server = Server::start(&["--deny", "127.0.0.2"]);
    let start = Instant::now();
    (0..100).for_each(|_| is_closed(&server, "127.0.0.2"));
    let seconds = start.elapsed().as_secs() + 2;
    server.still_echoes();
    server.signal(Signal::TERM);
    server.expect_exit(0);
    let lines = server.stderr.seen.iter();
    let lines = lines
        .filter(|line| line.contains("--allow and --deny"))
        .count() as u64;
    assert!((2..=seconds).contains(&lines), "{:#?}", server.stderr.seen);
    let last = server
        .stderr
        .seen
        .iter()
        .rfind(|line| line.contains("stopped"));
    assert!(last.unwrap().contains("refused=100"), "{last:?}");
}

#[test]
fn a_source_may_have_so_many_connections() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--max-per-source", "2", "--threads", threads]);
        let mut clients: Vec<_> = (0..2).map(|_| is_served(&server, "127.0.0.2")).collect();
        is_closed(&server, "127.0.0.2");
        let other = is_served(&server, "127.0.0.3");
        server
            .stderr
            .wait_for("--max-per-source connections of its source are open");
        // The place is free once the client has seen the server's end.
        for _ in 0..5 {
            leave(clients.remove(0));
            clients.push(is_served(&server, "127.0.0.2"));
            is_closed(&server, "127.0.0.2");
        }
        client::reset(clients.remove(0));
        eventually("a reset frees the place as well", || {
            let client = connect_from(server.addr(), "127.0.0.2");
            let echoed = (&client).write_all(b"x").is_ok() && read_one(&client);
            drop(client);
            echoed
        });
        drop((clients, other));
        server.finish();
    }
}

fn read_one(mut client: &TcpStream) -> bool {
    std::io::Read::read(&mut client, &mut [0]).is_ok_and(|count| count == 1)
}

#[test]
fn a_program_keeps_the_place_of_its_client() {
    let server = Server::start(&["--mode", "exec", "--max-per-source", "1", "--", "cat"]);
    let client = is_served(&server, "127.0.0.2");
    is_closed(&server, "127.0.0.2");
    leave(client);
    eventually("the place is free", || {
        let client = connect_from(server.addr(), "127.0.0.2");
        let echoed = (&client).write_all(b"x").is_ok() && read_one(&client);
        drop(client);
        echoed
    });
    server.drain();
}

#[test]
fn the_bits_of_a_source_can_be_chosen() {
    let server = Server::start(&["--max-per-source", "1", "--source-bits", "24,64"]);
    let one = is_served(&server, "127.0.0.2");
    is_closed(&server, "127.0.0.3");
    let other = is_served(&server, "127.0.1.2");
    drop((one, other));
    server.drain();
}

#[test]
fn a_source_that_is_too_fast_is_closed_and_the_others_are_served() {
    let mut server = Server::start(&["--rate-per-source", "2/h", "--threads", "2"]);
    (0..2).for_each(|_| drop(is_served(&server, "127.0.0.2")));
    is_closed(&server, "127.0.0.2");
    is_served(&server, "127.0.0.3");
    server
        .stderr
        .wait_for("more clients of its source come than --rate-per-source allows");
    server.drain();
}

#[test]
fn clients_beyond_the_rate_wait() {
    for threads in ["1", "2"] {
        let start = Instant::now();
        let server = Server::start(&["--accept-rate", "2/s", "--threads", threads]);
        for _ in 0..4 {
            server.still_echoes();
        }
        // Two at once, and then one each half second.
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1000), "{took:?}");
        server.drain();
    }
}

#[test]
fn a_drain_has_no_rate() {
    let mut server = Server::start(&["--accept-rate", "1/h"]);
    server.still_echoes();
    let mut waiting = server.connect();
    waiting.write_all(b"is it my turn?").unwrap();
    server.signal(Signal::TERM);
    expect_bytes(&waiting, b"is it my turn?");
    drop(waiting);
    server.expect_exit(0);
}

#[test]
fn clients_beyond_the_rate_can_be_refused() {
    let flags = ["--accept-rate", "2/h", "--when-full", "refuse"];
    let mut server = Server::start(&flags);
    (0..2).for_each(|_| server.still_echoes());
    is_closed(&server, "127.0.0.1");
    server
        .stderr
        .wait_for("more clients come than --accept-rate allows");
    server.drain();
}

#[test]
fn the_report_counts_refusals_by_reason() {
    let mut server = Server::start(&["--deny", "127.0.0.2", "--max-per-source", "1"]);
    let client = is_served(&server, "127.0.0.1");
    is_closed(&server, "127.0.0.1");
    (0..2).for_each(|_| is_closed(&server, "127.0.0.2"));
    server.signal(Signal::USR1);
    let line = server.stderr.wait_for(": the server ");
    assert!(line.contains("refused=3 "), "{line}");
    assert!(line.contains("denied=2 max_per_source=1"), "{line}");
    drop(client);
    server.drain();
}

#[cfg(feature = "config")]
#[test]
fn a_reload_changes_the_lists_and_forgets_no_connection() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("server.toml");
    let write = |options: &str| {
        std::fs::write(&file, format!("listen = \"127.0.0.1:0\"\n{options}")).unwrap();
    };
    write("");
    let config = ["--config", file.to_str().unwrap()];
    let mut server = Server::run(command::main(&config));
    is_served(&server, "127.0.0.2");
    write("deny = \"127.0.0.2\"\nmax-per-source = 1\n");
    server.signal(Signal::HUP);
    server.stderr.wait_for("reloaded changed=\"deny (");
    is_closed(&server, "127.0.0.2");
    let client = is_served(&server, "127.0.0.3");
    write("max-per-source = 1\n");
    server.signal(Signal::HUP);
    server.stderr.wait_for("reloaded changed=\"");
    is_closed(&server, "127.0.0.3");
    is_served(&server, "127.0.0.2");
    drop(client);
    server.drain();
}

#[test]
fn lists_that_contradict_each_other_are_refused() {
    expect_refused(
        &["--allow", "10.0.0.0/8", "--deny", "10.0.0.0/8"],
        "10.0.0.0/8 is both in --allow and in --deny",
    );
}

#[test]
fn a_wrong_value_is_explained() {
    for (flag, value, said) in [
        ("--allow", "10.1.2.3/8", "write 10.0.0.0/8"),
        ("--deny", "example.org", "'example.org' is no network"),
        ("--max-per-source", "0", "give a whole number"),
        ("--accept-rate", "0", "such as 100/s, 30/m or 500/h"),
        ("--rate-per-source", "10/d", "such as 100/s, 30/m or 500/h"),
        ("--source-bits", "64", "such as 32,64"),
        ("--socket-mode", "rw", "such as 0660"),
        ("--socket-owner", ":", "give USER, USER:GROUP or :GROUP"),
        ("--handshake-timeout", "0s", "it would pass at once"),
    ] {
        let output = command::main(&[flag, value]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said) && stderr.contains(flag), "{stderr}");
    }
}
