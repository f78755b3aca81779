//! What the server's memory costs when clients do not take what is for them.

mod harness;

use harness::chat::Guest;
use harness::client;
use harness::server::Server;
use rustix::net::sockopt;
use std::net::TcpStream;

const MIB: u64 = 1024;

/// How much more memory is the server's own than was, in KiB.
fn growth_kib(server: &Server, before: u64) -> u64 {
    server.private_kib().saturating_sub(before)
}

/// A client for which the kernel holds little, so that its output waits in the server soon.
fn small_client(server: &Server) -> TcpStream {
    let client = server.connect();
    sockopt::set_socket_recv_buffer_size(&client, 4096).unwrap();
    client
}

/// A line stored for each client, or with an entry of its own, would take 40 or 16 times as much.
#[test]
fn in_a_chat_two_byte_lines_that_forty_do_not_read_are_stored_once() {
    let limits = ["--out-hard", "8MiB"];
    let mut server = Server::start(&[&["--mode", "chat"], &limits[..]].concat());
    let mut speaker = Guest::join(&server, &mut []);
    let mut hearer = Guest::join(&server, &mut [&mut speaker]);
    let silent: Vec<_> = (0..40).map(|_| small_client(&server)).collect();
    let before = server.private_kib();
    let lines = "x\n".repeat(32 * 1024);
    let mut most = 0;
    // The kernel takes some megabytes for each; then the server stores up to --out-hard.
    let rounds = (0..1024).take_while(|_| {
        speaker.write(lines.as_bytes());
        client::hear(hearer.stream(), lines.as_bytes());
        most = most.max(growth_kib(&server, before));
        !server.stderr.has_come("--out-hard")
    });
    assert!(
        rounds.count() < 1024,
        "64 MiB wait for clients that read nothing"
    );
    // 8 MiB of text, the chunks that the loop reads into, and what the allocator keeps.
    assert!(most > 6 * MIB, "{most} KiB: nothing was stored");
    assert!(most < 12 * MIB, "{most} KiB for 8 MiB of text");
    drop((speaker, hearer, silent));
    server.drain();
}
