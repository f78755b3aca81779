//! Real HAProxy in front of the server and behind it. Where it is not installed, a line says so.
#![cfg(feature = "access")]

mod harness;

use harness::client::{connect, echo, expect_bytes};
use harness::server::Server;
use harness::{command, eventually, skip};
use rustix::io::FdFlags;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running HAProxy, killed when this is dropped.
struct HaProxy {
    child: Child,
    frontends: Vec<SocketAddr>,
    _directory: tempfile::TempDir,
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// False, after a line that says so, where HAProxy is missing.
fn has_haproxy() -> bool {
    let version = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .status();
    let has = version.is_ok_and(|status| status.success());
    if !has {
        skip("there is no haproxy here");
    }
    has
}

impl HaProxy {
    /// Starts it with a frontend for each of these pairs: parameters of its `bind`, and the server
    /// that it passes connections to, with parameters.
    #[track_caller]
    fn start(frontends: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            "defaults\n mode tcp\n timeout connect 30s\n timeout client 60s\n timeout server 60s\n"
                .to_owned();
        let mut listeners = Vec::new();
        for (number, (bind, server)) in frontends.iter().enumerate() {
            // It listens on sockets of ours, so that the kernel chooses the ports.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            rustix::io::fcntl_setfd(&listener, FdFlags::empty()).unwrap();
            let fd = listener.as_raw_fd();
            config += &format!("listen f{number}\n bind fd@{fd} {bind}\n server s {server}\n");
            listeners.push(listener);
        }
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .spawn()
            .unwrap();
        HaProxy {
            child,
            frontends: listeners
                .iter()
                .map(|at| at.local_addr().unwrap())
                .collect(),
            _directory: directory,
        }
    }
}

fn read_line(client: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

const REQUIRE: [&str; 4] = ["--proxy-protocol", "require", "--proxy-from", "127.0.0.1"];

#[test]
fn haproxy_introduces_its_clients_in_both_versions() {
    if !has_haproxy() {
        return;
    }
    for threads in ["1", "2"] {
        let script = "echo $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALPORT; cat";
        let flags = ["--mode", "exec", "--threads", threads];
        let program = ["--", "sh", "-c", script];
        let printer = Server::start(&[&flags[..], &REQUIRE, &program].concat());
        let echo_server = Server::start(&[&["--threads", threads], &REQUIRE[..]].concat());
        let (print_at, echo_at) = (printer.addr(), echo_server.addr());
        let haproxy = HaProxy::start(&[
            ("", &format!("{print_at} send-proxy")),
            (
                "",
                &format!("{print_at} send-proxy-v2 proxy-v2-options unique-id,crc32c"),
            ),
            ("", &format!("{echo_at} send-proxy")),
            ("", &format!("{echo_at} send-proxy-v2")),
        ]);
        for frontend in &haproxy.frontends[..2] {
            let client = connect(*frontend);
            let own = client.local_addr().unwrap().port();
            assert_eq!(
                read_line(&client),
                format!("127.0.0.1 {own} {}", frontend.port())
            );
            echo(&client, b"and its bytes pass");
        }
        for frontend in &haproxy.frontends[2..] {
            let clients: Vec<_> = (0..50).map(|_| connect(*frontend)).collect();
            harness::client::echo_many(clients, 100_000);
        }
        drop(haproxy);
        printer.drain();
        echo_server.drain();
    }
}

#[test]
fn the_checks_of_haproxy_are_its_own_connections() {
    if !has_haproxy() {
        return;
    }
    let mut server = Server::start(&[&REQUIRE[..], &["--log-level", "debug"]].concat());
    let at = server.addr();
    let check = format!("{at} send-proxy-v2 check inter 50ms fall 1");
    let haproxy = HaProxy::start(&[("", &check)]);
    // A check says LOCAL, and so is introduced as its own peer.
    let line = server.stderr.wait_for("introduced number=");
    let peer = line.rsplit_once("peer=").unwrap().1.to_owned();
    assert!(line.contains(&format!("client={peer} ")), "{line}");
    echo(&connect(haproxy.frontends[0]), b"it is up");
    drop(haproxy);
    server.drain();
}

#[test]
fn haproxy_understands_how_the_server_introduces_its_clients() {
    if !has_haproxy() {
        return;
    }
    for version in ["v1", "v2"] {
        // The client → our proxy → HAProxy → a program: two introductions.
        let script = "echo $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALPORT";
        let flags = ["--mode", "exec"];
        let printer = Server::start(&[&flags[..], &REQUIRE, &["--", "sh", "-c", script]].concat());
        let server = format!("{} send-proxy-v2", printer.addr());
        let haproxy = HaProxy::start(&[("accept-proxy", &server)]);
        let to = haproxy.frontends[0].to_string();
        let flags = ["--mode", "proxy", "--to", &to, "--send-proxy", version];
        let proxy = Server::start(&flags);
        let client = proxy.connect();
        let own = client.local_addr().unwrap().port();
        assert_eq!(
            read_line(&client),
            format!("127.0.0.1 {own} {}", proxy.addr().port())
        );
        drop(client);
        proxy.drain();
        drop(haproxy);
        printer.drain();
    }
}

#[test]
fn haproxy_may_use_a_unix_socket() {
    if !has_haproxy() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = serve_unix(&path);
    let to = format!("unix@{} send-proxy-v2", path.display());
    let haproxy = HaProxy::start(&[("", &to)]);
    let client = connect(haproxy.frontends[0]);
    let own = client.local_addr().unwrap().port();
    (&client).write_all(b"\n").unwrap();
    assert_eq!(read_line(&client), format!("127.0.0.1 {own}"));
    expect_bytes(&client, b"\n");
    drop((client, haproxy));
    eventually("the program has ended", || {
        harness::process::children_of(server.child.id()).is_empty()
    });
    server.drain();
}

fn serve_unix(path: &Path) -> Server {
    let listen = format!("unix:{}", path.display());
    let flags = ["--listen", &listen, "--mode", "exec"];
    let access = ["--proxy-protocol", "require", "--proxy-from", "unix"];
    let program = ["--", "sh", "-c", "echo $TCPREMOTEIP $TCPREMOTEPORT; cat"];
    Server::run(command::main(&[&flags[..], &access, &program].concat()))
}
