//! Which addresses can be served together, and which process holds an address in use.

mod harness;

use harness::client::{connect, echo};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use harness::{can_trace, eventually, skip};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use tempfile::NamedTempFile;

/// A port that is free in both families, most likely also a moment later; `None` without IPv6.
fn free_port() -> Option<u16> {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        skip("there is no IPv6 here");
        return None;
    };
    Some(listener.local_addr().unwrap().port())
}

#[track_caller]
fn serve(listen: &str, threads: &str) -> Server {
    Server::run(command::main(&["--listen", listen, "--threads", threads]))
}

#[track_caller]
fn echoes(port: u16) {
    for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        for _ in 0..8 {
            echo(connect(SocketAddr::new(ip, port)), b"here?");
        }
    }
}

/// What a server that does not start prints.
#[track_caller]
fn refusal(listen: &str, threads: &str) -> String {
    let args = ["--listen", listen, "--threads", threads];
    let mut process = Process::start(command::main(&args));
    assert_eq!(process.stdout.next(), None, "it starts");
    assert_eq!(process.wait().code(), Some(1));
    process.stderr.seen.last().cloned().unwrap()
}

#[test]
fn all_of_ipv4_and_all_of_ipv6_are_served_on_one_port() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        for listen in [
            format!("0.0.0.0:{port},[::]:{port}"),
            format!("[::]:{port},0.0.0.0:{port}"),
            format!("127.0.0.1:{port},[::]:{port}"),
            format!("[::]:{port},[::ffff:127.0.0.1]:{port}"),
        ] {
            let server = serve(&listen, threads);
            assert_eq!(server.listens.join(","), listen);
            echoes(port);
            server.drain();
        }
    }
}

#[test]
fn all_of_ipv6_alone_serves_ipv4_as_well() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        let server = serve(&format!("[::]:{port}"), threads);
        echoes(port);
        server.drain();
    }
}

#[test]
fn port_0_of_both_families_is_a_port_for_each() {
    if free_port().is_none() {
        return;
    }
    for threads in ["1", "2"] {
        for listen in ["0.0.0.0:0,[::]:0", "[::]:0,0.0.0.0:0"] {
            let server = serve(listen, threads);
            for addr in &server.listens {
                let addr: SocketAddr = addr.parse().unwrap();
                let loopback = match addr {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                echo(connect(SocketAddr::new(loopback, addr.port())), b"here?");
            }
            server.drain();
        }
    }
}

#[test]
fn an_address_in_use_names_the_process_that_holds_it() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        for (held, wanted) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("127.0.0.1", "0.0.0.0"),
            ("0.0.0.0", "[::]"),
            ("[::]", "127.0.0.1"),
            ("[::1]", "[::]"),
        ] {
            let server = serve(&format!("{held}:{port}"), threads);
            let said = refusal(&format!("{wanted}:{port}"), threads);
            let holder = format!("in use by oneloop (pid {})", server.child.id());
            assert!(said.contains(&holder), "{held}, {wanted}: {said}");
            server.drain();
        }
    }
}

#[test]
fn an_address_that_overlaps_another_one_of_the_same_server_is_in_use_by_this_server() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        for (first, second) in [
            ("127.0.0.1", "0.0.0.0"),
            ("0.0.0.0", "127.0.0.1"),
            ("[::1]", "[::]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::ffff:127.0.0.1]", "0.0.0.0"),
        ] {
            let said = refusal(&format!("{first}:{port},{second}:{port}"), threads);
            assert!(said.contains("in use by this server"), "{said}");
            assert!(said.contains(&format!("{second}:{port}")), "{said}");
        }
    }
}

#[test]
fn the_holder_of_one_family_is_named_even_if_this_server_has_the_other_family() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        for (held, listen) in [
            ("[::1]", "0.0.0.0:PORT,[::]:PORT"),
            ("127.0.0.1", "[::]:PORT,127.0.0.1:PORT"),
            ("127.0.0.1", "[::]:PORT,0.0.0.0:PORT"),
        ] {
            let server = serve(&format!("{held}:{port}"), threads);
            let said = refusal(&listen.replace("PORT", &port.to_string()), threads);
            let holder = format!("in use by oneloop (pid {})", server.child.id());
            assert!(said.contains(&holder), "{held}, {listen}: {said}");
            server.drain();
        }
    }
}

#[test]
fn of_servers_that_start_at_the_same_time_exactly_one_gets_the_port() {
    if !can_trace() {
        return;
    }
    let Some(port) = free_port() else { return };
    let listen = format!("127.0.0.1:{port}");
    // A pause before each bind(2), in which another server could bind.
    let start = |threads| {
        let log = NamedTempFile::new().unwrap();
        let args = ["--listen", &listen, "--threads", threads];
        let delay = "bind:delay_enter=100000";
        let process = Process::start(command::main_traced(log.path(), "bind", delay, &args));
        (process, log)
    };
    let mut started: Vec<_> = ["2", "2", "3"].map(start).into_iter().collect();
    started.retain_mut(|(process, log)| {
        let listens = process.stdout.next().is_some();
        if !listens {
            assert_eq!(process.wait().code(), Some(1));
            let said = process.stderr.seen.last().unwrap();
            assert!(said.contains("in use"), "{said}");
        }
        let traced = || std::fs::read_to_string(log.path()).unwrap();
        eventually("it was delayed", || traced().contains("(DELAYED)"));
        listens
    });
    assert_eq!(started.len(), 1);
}
