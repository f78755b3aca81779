//! How much memory the server takes when clients do not read their output.

mod harness;

use harness::chat::Guest;
use harness::client;
use harness::server::Server;
use harness::{can_trace, command, eventually, raise_limit_of_files};
use rustix::net::sockopt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tempfile::NamedTempFile;

const MIB: u64 = 1024;

/// By how much the server's private memory has grown, in KiB.
fn growth_kib(server: &Server, before: u64) -> u64 {
    server.private_kib().saturating_sub(before)
}

/// A client for which the kernel buffers little, so that its output soon waits in the server.
fn small_client(server: &Server) -> TcpStream {
    let client = server.connect();
    sockopt::set_socket_recv_buffer_size(&client, 4096).unwrap();
    client
}

/// A line that is stored once per client would take 40 times as much memory; one with its own
/// entry, 16 times.
#[test]
fn in_a_chat_two_byte_lines_for_forty_readers_are_stored_once() {
    let limits = ["--out-hard", "8MiB"];
    let mut server = Server::start(&[&["--mode", "chat"], &limits[..]].concat());
    let mut speaker = Guest::join(&server, &mut []);
    let mut reader = Guest::join(&server, &mut [&mut speaker]);
    let silent: Vec<_> = (0..40).map(|_| small_client(&server)).collect();
    let before = server.private_kib();
    let lines = "x\n".repeat(32 * 1024);
    let mut most = 0;
    // The kernel takes some megabytes for each reader; then the server stores up to --out-hard.
    let rounds = (0..1024).take_while(|_| {
        speaker.write(lines.as_bytes());
        client::expect_bytes(reader.stream(), lines.as_bytes());
        most = most.max(growth_kib(&server, before));
        !server.stderr.has_come("--out-hard")
    });
    assert!(
        rounds.count() < 1024,
        "64 MiB wait for clients that read nothing"
    );
    // 8 MiB of text, the loop's chunks, the queue of the log, and what the allocator keeps.
    assert!(most > 6 * MIB, "{most} KiB: nothing was stored");
    assert!(most < 20 * MIB, "{most} KiB for 8 MiB of text");
    drop((speaker, reader, silent));
    server.drain();
}

/// Clients of a Unix socket, for which the kernel buffers little. Each has been sent its first
/// byte: a server that is starved of CPU looks as if it rested before it has accepted them all.
fn connect_many(count: usize, path: &Path) -> Vec<UnixStream> {
    let connect = |_| client::connect_unix(UnixStream::connect(path).unwrap());
    let clients: Vec<_> = (0..count).map(connect).collect();
    for mut client in &clients {
        client.write_all(b"x").unwrap();
    }
    for mut client in &clients {
        client.read_exact(&mut [0]).unwrap();
        client.set_nonblocking(true).unwrap();
    }
    clients
}

/// Makes each client send until the server takes no more, and read nothing.
#[track_caller]
fn send_until_nothing_moves(server: &Server, clients: &[UnixStream], sends: bool) {
    let some = [b'x'; 64 * 1024];
    let mut rounds_at_rest = 0;
    let mut used = server.cpu_ticks();
    eventually("nothing moves any more", || {
        let mut moved = false;
        for mut client in clients.iter().filter(|_| sends) {
            while client.write(&some).is_ok() {
                moved = true;
            }
        }
        let before = std::mem::replace(&mut used, server.cpu_ticks());
        let rests = !moved && used == before;
        rounds_at_rest = if rests { rounds_at_rest + 1 } else { 0 };
        rounds_at_rest > 20
    });
}

/// The memory that clients of a mode take if they do nothing, or if they send and do not read.
#[track_caller]
fn cost_kib(count: usize, args: &[&str], sends: bool) -> u64 {
    raise_limit_of_files();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.sock");
    let listen = format!("unix:{}", path.display());
    let server = Server::run(command::main(&[&["--listen", &listen], args].concat()));
    send_until_nothing_moves(&server, &connect_many(1, &path), false); // so that one-time allocations are not counted
    let before = server.private_kib();
    let clients = connect_many(count, &path);
    send_until_nothing_moves(&server, &clients, sends);
    growth_kib(&server, before)
}

/// The limit: 2 MiB until memory is scarce, then 4 KiB for each client, 1 MiB of the loop's chunks,
/// and the clients' queues themselves.
#[track_caller]
fn expect_little_for_slow_readers(count: usize, idle: &[&str], slow: &[&str], sends: bool) {
    let more = cost_kib(count, slow, sends).saturating_sub(cost_kib(count, idle, false));
    assert!(
        more <= 12 * MIB,
        "{more} KiB for {count} slow readers of {slow:?}"
    );
}

#[test]
fn a_thousand_slow_readers_of_an_echo_take_twelve_mebibytes() {
    let echo = ["--mode", "echo"];
    expect_little_for_slow_readers(1000, &echo, &echo, true);
}

#[test]
fn a_thousand_slow_readers_of_chargen_take_twelve_mebibytes() {
    let (echo, chargen) = (["--mode", "echo"], ["--mode", "chargen"]);
    expect_little_for_slow_readers(1000, &echo, &chargen, false);
}

#[test]
fn a_thousand_slow_readers_of_a_proxy_take_twelve_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = |mode: &str| {
        let to = format!("unix:{}", dir.path().join(mode).display());
        let server = Server::run(command::main(&["--listen", &to, "--mode", mode]));
        (server, to)
    };
    let [echo, chargen] = ["echo", "chargen"].map(upstream);
    let idle = ["--mode", "proxy", "--to", &echo.1];
    let endless = ["--mode", "proxy", "--to", &chargen.1];
    expect_little_for_slow_readers(1000, &idle, &endless, false);
    expect_little_for_slow_readers(1000, &idle, &idle, true);
}

/// Fewer clients, as each has a program.
#[test]
fn slow_readers_of_programs_take_twelve_mebibytes() {
    let (cat, yes) = ("cat", "yes");
    let exec = |program| ["--mode", "exec", "--", program];
    expect_little_for_slow_readers(200, &exec(cat), &exec(yes), false);
}

#[test]
fn when_too_much_waits_for_all_clients_the_one_with_the_longest_queue_is_closed() {
    for threads in ["1", "2"] {
        let limits = [
            "--out-soft",
            "192KiB",
            "--out-hard",
            "256KiB",
            "--out-total",
            "256KiB",
        ];
        let mut server = Server::start(&[&limits[..], &["--threads", threads]].concat());
        let greedy = small_client(&server);
        client::fill(&server, &greedy);
        // The queue of the greedy client is half of --out-total. Each of these clients adds 4 KiB.
        let others: Vec<_> = (0..200).map(|_| small_client(&server)).collect();
        let filled = others.iter().take_while(|other| {
            client::fill(&server, other);
            !server.stderr.has_come("--out-total")
        });
        assert!(filled.count() < 200, "no client is closed");
        let mut seen = server.stderr.seen.iter();
        let line = seen.find(|line| line.contains("--out-total")).unwrap();
        let greedy_addr = greedy.local_addr().unwrap().to_string();
        assert!(
            line.contains(&greedy_addr) && line.contains("times=1"),
            "{line}"
        );
        client::read_until_closed(&greedy);
        drop((greedy, others));
        server.finish();
    }
}

/// How many reads the server makes to echo `bytes` of one letter, 32 KiB at a time.
fn reads_of_an_echo(stream: &UnixStream, letter: u8, rounds: usize, log: &Path) -> usize {
    for _ in 0..rounds {
        client::echo(stream, &[letter; 32 * 1024]);
    }
    let reads = format!("\"{}", String::from(letter as char).repeat(9));
    let log = fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains(&reads)).count()
}

#[test]
fn a_client_that_reads_is_not_slowed_down_by_clients_that_do_not() {
    const ROUNDS: usize = 64;
    if !can_trace() {
        return;
    }
    let (dir, log) = (tempfile::tempdir().unwrap(), NamedTempFile::new().unwrap());
    let path = dir.path().join("scarce.sock");
    let listen = format!("unix:{}", path.display());
    let args = ["--listen", &listen, "--out-total", "1MiB"]; // memory is scarce from half of that on
    let no_fault = "recvfrom:delay_exit=1"; // microseconds
    let traced = command::main_traced(log.path(), "recvfrom", no_fault, &args);
    let server = Server::run(traced);
    let fast = client::connect_unix(UnixStream::connect(&path).unwrap());
    let alone = reads_of_an_echo(&fast, b'a', ROUNDS, log.path());
    let slow = connect_many(20, &path);
    send_until_nothing_moves(&server, &slow, true);
    let small_steps = fs::read_to_string(log.path()).unwrap();
    assert!(small_steps.contains("4096, 0,"), "memory is not scarce");
    let beside = reads_of_an_echo(&fast, b'b', ROUNDS, log.path());
    assert!(alone >= ROUNDS, "{alone} reads");
    assert!(beside < 2 * alone, "{beside} reads instead of {alone}");
    drop((fast, slow));
    server.drain();
}
