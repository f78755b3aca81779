//! Which addresses can be served together, and who has one that cannot be had.

mod harness;

use harness::client::{connect, echo};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use harness::skip;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// A port that is free in both families, most likely also a moment later; none without IPv6.
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

/// What a server says that does not start.
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
            let holder = format!("in use by main (pid {})", server.child.id());
            assert!(said.contains(&holder), "{held}, {wanted}: {said}");
            server.drain();
        }
    }
}

#[test]
fn an_address_that_another_one_of_the_same_server_contains_is_in_use_by_this_server() {
    let Some(port) = free_port() else { return };
    for threads in ["1", "2"] {
        for (first, second) in [
            ("127.0.0.1", "0.0.0.0"),
            ("0.0.0.0", "127.0.0.1"),
            ("[::1]", "[::]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ] {
            let said = refusal(&format!("{first}:{port},{second}:{port}"), threads);
            assert!(said.contains("in use by this server"), "{said}");
            assert!(said.contains(&format!("{second}:{port}")), "{said}");
        }
    }
}
