//! Socket activation: the server takes the sockets that a service manager passes to it.

mod harness;

use harness::client::{connect, connect_unix, echo};
use harness::command;
use harness::passing::{start_with, start_with_variables};
use harness::process::Process;
use harness::server::Server;
use harness::{eventually, skip};
use rustix::process::Signal;
use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Expects that a server ends with exit code 2, and that its one line contains `said`.
#[track_caller]
fn expect_refused(mut process: Process, said: &str) {
    assert_eq!(process.wait().code(), Some(2));
    let lines = process.stderr.read_to_end();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("error: ") && lines[0].contains(said),
        "{lines:?}"
    );
}

#[test]
fn without_listen_all_sockets_are_served_whatever_their_family() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let name = format!("oneloop-activation-{}", std::process::id());
    let abstract_addr = SocketAddr::from_abstract_name(&name).unwrap();
    let (inet, unix) = (tcp(), UnixListener::bind(&path).unwrap());
    let named = UnixListener::bind_addr(&abstract_addr).unwrap();
    let inet6 = TcpListener::bind("[::1]:0");
    let mut sockets: Vec<(&str, &dyn AsFd)> = vec![
        ("a.socket", &inet),
        ("b.socket", &unix),
        ("b.socket", &named),
    ];
    if let Ok(inet6) = &inet6 {
        sockets.push(("c.socket", inet6));
    }
    let server = Server::from_process(start_with(&sockets, &[]));
    assert_eq!(server.listens.len(), sockets.len());
    assert_eq!(server.listens[0], inet.local_addr().unwrap().to_string());
    echo(&connect(inet.local_addr().unwrap()), b"over IPv4");
    echo(
        &connect_unix(UnixStream::connect(&path).unwrap()),
        b"over a Unix socket",
    );
    let client = UnixStream::connect_addr(&abstract_addr).unwrap();
    echo(&connect_unix(client), b"over an abstract name");
    if let Ok(inet6) = &inet6 {
        echo(&connect(inet6.local_addr().unwrap()), b"over IPv6");
    }
    server.drain();
    assert!(path.exists(), "the file is the service manager's");
    assert!(!dir.path().join("socket.lock").exists());
}

#[test]
fn a_client_that_started_the_server_is_served() {
    let listener = tcp();
    let client = connect(listener.local_addr().unwrap());
    let server = Server::from_process(start_with(&[("a.socket", &listener)], &["--threads", "3"]));
    echo(&client, b"first");
    let clients = server.connect_echoed(30);
    drop(clients);
    server.finish();
}

#[test]
fn listen_takes_sockets_by_name_by_number_and_by_address() {
    let [web, other, third, unused] = [tcp(), tcp(), tcp(), tcp()];
    let third_addr = third.local_addr().unwrap().to_string();
    let sockets: [(&str, &dyn AsFd); 4] = [
        ("web", &web),
        ("other", &other),
        ("third", &third),
        ("unused", &unused),
    ];
    let listen = format!("fd:web,fd:4,{third_addr},127.0.0.1:0");
    let mut server = Server::from_process(start_with(&sockets, &["--listen", &listen]));
    server.stderr.wait_for("no --listen takes it");
    assert_eq!(server.listens.len(), 4);
    for listener in [&web, &other, &third] {
        echo(&connect(listener.local_addr().unwrap()), b"hello");
    }
    echo(&connect(server.listens[3].parse().unwrap()), b"its own");
    server.drain();
}

#[test]
fn a_name_without_a_socket_is_an_error_that_lists_the_names() {
    let (web, admin) = (tcp(), tcp());
    let sockets: [(&str, &dyn AsFd); 2] = [("web", &web), ("admin", &admin)];
    expect_refused(
        start_with(&sockets, &["--listen", "fd:wep"]),
        "cannot listen on fd:wep: the sockets that were passed are named web, admin",
    );
    command::expect_refused(
        &["--listen", "fd:web"],
        "no socket was passed to this process",
    );
}

#[test]
fn an_fd_that_does_not_listen_for_streams_is_named() {
    let listener = tcp();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = File::open("/dev/null").unwrap();
    for (fd, said) in [
        (
            &connection as &dyn AsFd,
            "fd 4 (b.socket): it is a connection",
        ),
        (&datagrams, "fd 4 (b.socket): it is a socket for datagrams"),
        (&file, "fd 4 (b.socket): it is not a socket"),
    ] {
        expect_refused(
            start_with(&[("a.socket", &listener), ("b.socket", fd)], &[]),
            said,
        );
    }
    let missing = "LISTEN_PID=$$ LISTEN_FDS=2";
    expect_refused(
        start_with_variables(missing, &[&listener], &[]),
        "fd 4 (unknown): it is not open",
    );
    for (variables, said) in [
        (
            "LISTEN_FDS=two",
            "LISTEN_FDS=two: give the number of sockets",
        ),
        (
            "LISTEN_FDS=1 LISTEN_FDNAMES=a:b",
            "LISTEN_FDNAMES has 2 names, and LISTEN_FDS=1",
        ),
    ] {
        let variables = format!("LISTEN_PID=$$ {variables}");
        expect_refused(start_with_variables(&variables, &[&listener], &[]), said);
    }
}

#[test]
fn variables_for_another_process_are_ignored() {
    let listener = tcp();
    for pid in ["1", "", "no number"] {
        let variables = format!("LISTEN_PID='{pid}' LISTEN_FDS=9 LISTEN_FDNAMES=a");
        let args = ["--listen", "127.0.0.1:0"];
        let server = Server::from_process(start_with_variables(&variables, &[&listener], &args));
        assert_ne!(
            server.listens[0],
            listener.local_addr().unwrap().to_string()
        );
        server.finish();
    }
}

#[test]
fn a_program_for_a_client_does_not_get_what_the_server_was_started_with() {
    let listener = tcp();
    let names = "LISTEN_PID|LISTEN_FDS|LISTEN_FDNAMES|NOTIFY_SOCKET|WATCHDOG_USEC|WATCHDOG_PID";
    let script = format!("env | grep -cE '^({names})='; test -S /dev/fd/3 || echo none");
    let args = ["--mode", "exec", "--", "sh", "-c", &script];
    let variables = "LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET=/nowhere WATCHDOG_USEC=1000000";
    let mut server = Server::from_process(start_with_variables(variables, &[&listener], &args));
    let mut said = String::new();
    server.connect().read_to_string(&mut said).unwrap();
    assert_eq!(said, "0\nnone\n");
    server.signal(Signal::TERM);
    server.expect_exit(0);
}

#[test]
fn systemd_socket_activate_starts_the_server_with_its_first_client() {
    if Command::new("systemd-socket-activate")
        .arg("--version")
        .output()
        .is_err()
    {
        return skip("systemd-socket-activate is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(&path).arg("--fdname=web");
    command
        .arg(env!("CARGO_BIN_EXE_oneloop"))
        .args(["--listen", "fd:web"]);
    let process = Process::start(command);
    eventually("it listens", || path.exists());
    let client = connect_unix(UnixStream::connect(&path).unwrap());
    let server = Server::from_process(process);
    echo(&client, b"the first one");
    server.drain();
}
