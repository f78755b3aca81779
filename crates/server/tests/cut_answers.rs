//! A client that has not received its whole answer sees a reset, never an orderly end: a cut answer
//! must not look whole. The same holds for an upstream and its input.

mod harness;

use harness::chat::Guest;
use harness::client::{echo, expect_bytes, expect_reset};
use harness::server::Server;
use harness::{DEADLINE, can_trace, command};
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use tempfile::NamedTempFile;

const STYLES: [&str; 3] = ["async", "callback", "green"];

/// A server whose n-th write to a socket fails, as it does where the kernel has no memory.
struct Failing {
    server: Server,
    log: NamedTempFile,
}

impl Failing {
    fn start(nth: u32, args: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let inject = format!("sendto,sendmsg:error=ENOBUFS:when={nth}");
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        let command = command::main_traced(log.path(), "sendto,sendmsg", &inject, &args);
        let server = Server::run(command);
        Failing { server, log }
    }

    /// Drains the server, which must not wait for the client.
    fn drain(self) {
        self.server.drain();
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        assert_eq!(log.matches("(INJECTED)").count(), 1, "{log}");
    }
}

#[test]
fn a_client_whose_write_fails_is_reset_in_every_mode_that_answers() {
    if !can_trace() {
        return;
    }
    for style in STYLES {
        for mode in [&["--mode", "echo"][..], &["--mode", "exec", "--", "cat"]] {
            let failing = Failing::start(2, &[&["--style", style], mode].concat());
            let mut client = failing.server.connect();
            echo(&client, b"whole");
            client.write_all(b"cut").unwrap();
            expect_reset(&client);
            failing.drain();
        }
    }
}

/// Expects that a new client is reset, perhaps before its connect has returned.
fn expect_reset_at_once(server: &Server) {
    match TcpStream::connect(server.addr()) {
        Ok(client) => {
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            expect_reset(&client);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_client_whose_write_fails_is_reset_in_every_mode_that_sends_by_itself() {
    if !can_trace() {
        return;
    }
    for style in STYLES {
        let failing = Failing::start(1, &["--style", style, "--mode", "daytime"]);
        expect_reset_at_once(&failing.server);
        failing.drain();
        if style == "callback" {
            continue; // it tries the rest of the output again, so that none of it is lost
        }
        let failing = Failing::start(1, &["--style", style, "--mode", "chargen"]);
        expect_reset_at_once(&failing.server);
        failing.drain();
        let failing = Failing::start(2, &["--style", style, "--mode", "chat", "--raw"]);
        let mut speaker = failing.server.connect();
        let mut listener = failing.server.connect();
        listener.write_all(b"here\n").unwrap();
        expect_bytes(&speaker, b"here\n");
        speaker.write_all(b"cut\n").unwrap();
        expect_reset(&listener);
        drop(speaker);
        failing.drain();
    }
}

/// A client of a proxy, and the upstream's end of it.
fn wire(upstream: &TcpListener, proxy: &Server) -> (TcpStream, TcpStream) {
    let client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    (client, server)
}

#[test]
fn a_proxy_whose_write_fails_resets_both_sides() {
    if !can_trace() {
        return;
    }
    for style in STYLES {
        for nth in [1, 2] {
            let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = upstream.local_addr().unwrap().to_string();
            let args = ["--style", style, "--mode", "proxy", "--to", &to];
            let failing = Failing::start(nth, &args);
            let (mut client, mut server) = wire(&upstream, &failing.server);
            client.write_all(b"question").unwrap();
            if nth == 2 {
                expect_bytes(&server, b"question");
                server.write_all(b"answer").unwrap();
            }
            expect_reset(&client);
            expect_reset(&server);
            failing.drain();
        }
    }
}

#[test]
fn a_client_of_a_proxy_whose_answer_is_cut_off_by_the_end_of_the_drain_is_reset() {
    for style in STYLES {
        for threads in ["1", "2"] {
            let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = upstream.local_addr().unwrap().to_string();
            let args = ["--style", style, "--threads", threads, "--drain", "200ms"];
            let mut proxy = Server::start(&[&args, &["--mode", "proxy", "--to", &to][..]].concat());
            let (mut client, mut server) = wire(&upstream, &proxy);
            client.write_all(b"question").unwrap();
            expect_bytes(&server, b"question");
            server.write_all(b"half of the answer").unwrap();
            expect_bytes(&client, b"half of the answer");
            proxy.signal(Signal::TERM);
            proxy.expect_exit(1);
            expect_reset(&client); // the upstream has seen the end of its input by then
        }
    }
}

#[test]
fn a_member_of_a_chat_with_unsent_lines_is_reset_when_the_drain_is_over() {
    for style in STYLES {
        for threads in ["1", "2"] {
            let args = ["--style", style, "--threads", threads, "--drain", "200ms"];
            let limits = ["--mode", "chat", "--raw", "--out-hard", "64MiB"];
            let mut server = Server::start(&[&args[..], &limits].concat());
            let mut anna = Guest::join(&server, &mut []);
            let mut berta = Guest::join(&server, &mut [&mut anna]);
            let mut sleeper = Guest::join(&server, &mut [&mut anna, &mut berta]);
            // More than the kernel takes for the sleeper.
            let line = format!("{}\n", "x".repeat(32 * 1024 - 1));
            for _ in 0..512 {
                anna.write(line.as_bytes());
                assert_eq!(berta.next_line().len(), line.len() - 1);
            }
            drop((anna, berta));
            server.signal(Signal::TERM);
            server.expect_exit(1);
            expect_reset(sleeper.stream().get_ref());
        }
    }
}

#[test]
fn a_member_of_a_chat_that_is_evicted_is_reset() {
    for style in STYLES {
        let limits = ["--out-soft", "16KiB", "--out-hard", "256KiB"];
        let args = ["--style", style, "--mode", "chat", "--raw"];
        let mut server = Server::start(&[&args[..], &limits].concat());
        let sleeper = server.connect();
        let mut speaker = server.connect();
        let line = format!("{}\n", "x".repeat(32 * 1024 - 1));
        while !server.stderr.has_come("--out-hard") {
            speaker.write_all(line.as_bytes()).unwrap();
        }
        expect_reset(&sleeper);
        drop(speaker);
        server.drain();
    }
}
