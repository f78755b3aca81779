//! Where a proxy connects: never to itself, to a full Unix backlog once it has room, to link-local
//! addresses.

mod harness;

use harness::client::{connect_unix, expect_bytes, expect_end};
use harness::process::Process;
use harness::server::Server;
use harness::{command, skip};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// A free port, for a listener and a proxy that need to know it beforehand.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_proxy_to_itself_is_refused_at_the_start() {
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&socket, &link).unwrap();
    let unix = format!("unix:{}", socket.display());
    let dotted = format!("unix:{}/./socket", dir.path().display());
    let linked = format!("unix:{}", link.display());
    // The address that other machines know this one by, if it has one.
    let outside = UdpSocket::bind("0.0.0.0:0").unwrap();
    let outside = outside
        .connect("192.0.2.1:9")
        .and_then(|()| outside.local_addr());
    let outside = outside.map_or("127.0.0.1".to_owned(), |addr| addr.ip().to_string());
    let at = |host: &str| format!("{host}:{port}");
    let cases = [
        (at("127.0.0.1"), at("127.0.0.1")),
        (port.to_string(), port.to_string()),
        (at("127.0.0.1"), at("localhost")),
        (at("0.0.0.0"), at("127.0.0.1")),
        (at("0.0.0.0"), at("127.5.6.7")),
        (at("0.0.0.0"), at(&outside)),
        (at("[::]"), at("127.0.0.1")),
        (at("127.0.0.1"), at("0.0.0.0")),
        (at("127.0.0.1"), at("[::ffff:127.0.0.1]")),
        (at("127.0.0.1"), format!("192.0.2.1:9,{}", at("127.0.0.1"))),
        (unix.clone(), unix.clone()),
        (unix.clone(), dotted),
        (unix.clone(), linked),
        ("unix:@to-itself".to_owned(), "unix:@to-itself".to_owned()),
    ];
    for (listen, to) in cases {
        let said = "this server itself listens there";
        command::expect_refused(&["--listen", &listen, "--mode", "proxy", "--to", &to], said);
    }
    assert!(!socket.exists(), "the socket file is removed");
}

#[test]
fn a_proxy_to_another_server_on_the_same_port_is_not_refused() {
    let port = free_port();
    let (own, other) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    let upstream = TcpListener::bind(&other).unwrap();
    let args = ["--listen", &own, "--mode", "proxy", "--to", &other];
    let proxy = Server::run(command::main(&args));
    let mut client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    client.write_all(b"hello").unwrap();
    expect_bytes(&server, b"hello");
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_unix_upstream_with_a_full_backlog_is_retried_until_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upstream");
    let upstream = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&upstream, 0).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    let to = format!("unix:{}", path.display());

    let proxy = Server::start(&["--mode", "proxy", "--to", &to, "--connect-timeout", "300ms"]);
    let start = Instant::now();
    expect_end(proxy.connect());
    assert!(start.elapsed() >= Duration::from_millis(300));
    proxy.drain();

    let proxy = Server::start(&["--mode", "proxy", "--to", &to]);
    let mut client = proxy.connect();
    client.write_all(b"hello").unwrap();
    std::thread::sleep(Duration::from_millis(100)); // the backlog stays full for a while
    drop(upstream.accept().unwrap());
    let (server, _) = upstream.accept().unwrap();
    let server = connect_unix(server);
    expect_bytes(&server, b"hello");
    drop((client, server));
    proxy.drain();
}

#[test]
fn link_local_addresses_come_with_their_interface() {
    let inside = command::main(&[
        "--listen",
        "[fe80::1%lo]:0,[fe80::1%1]:0",
        "--mode",
        "exec",
        "--",
        "sh",
        "-c",
        "echo $TCPLOCALIP $TCPREMOTEIP",
    ]);
    let script = "ip link set lo up && ip addr add fe80::1/64 dev lo nodad || exit 77; \
        until ip -6 route get fe80::1 oif lo 2>&1 | grep -q ^local; do sleep 0.01; done; \
        exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", script]);
    command.arg(inside.get_program()).args(inside.get_args());
    let mut probe = Command::new("unshare");
    probe.args(["-n", "sh", "-c", script, "true"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return skip("there are no network namespaces here");
    }
    for (name, value) in inside.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let server = Server::from_process(Process::start(command));
    let addrs: Vec<_> = server.listens.clone();
    assert!(
        addrs.iter().all(|addr| addr.starts_with("[fe80::1%1]:")),
        "{addrs:?}"
    );
    let network = std::fs::File::open(format!("/proc/{}/ns/net", server.child.id())).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), kind).unwrap();
            for addr in addrs {
                expect_bytes(TcpStream::connect(addr).unwrap(), b"fe80::1%1 fe80::1%1\n");
            }
        });
    });
    server.drain();
}

#[test]
fn a_missing_interface_is_reported() {
    command::expect_refused(
        &["--listen", "[fe80::1%nowhere]:0"],
        "there is no interface 'nowhere'",
    );
    let args = ["--mode", "proxy", "--to", "[fe80::1%nowhere]:80"];
    command::expect_refused(&args, "there is no interface 'nowhere'");
}
