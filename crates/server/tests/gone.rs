//! A client that is gone is noticed whatever the server waits for meanwhile: a peer that takes
//! nothing or sends nothing, a connect, a program.

mod harness;

use harness::client::{self, HalfClose, expect_bytes, expect_reset};
use harness::server::Server;
use harness::{command, eventually, pattern};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// Less than any timeout after which the server would close a connection for another reason.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A proxy with one permit, and an upstream that is the test itself.
fn stage() -> (TcpListener, Server) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = upstream.local_addr().unwrap().to_string();
    let proxy = Server::start(&["--mode", "proxy", "--to", &addr, "--max-conns", "1"]);
    (upstream, proxy)
}

fn exec(script: &str) -> Server {
    Server::start(&[
        "--mode",
        "exec",
        "--max-conns",
        "1",
        "--",
        "sh",
        "-c",
        script,
    ])
}

/// Sends until the kernel takes no more.
fn send_until_blocked(client: &TcpStream) {
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_millis(300) {
        let more = pattern::write_what_fits(client, written);
        if more > 0 {
            quiet_since = Instant::now();
        }
        written += more;
        std::thread::yield_now();
    }
    client.set_nonblocking(false).unwrap();
}

fn send_until_blocked_unix(mut client: &UnixStream) -> usize {
    client
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut written = 0;
    loop {
        match client.write(&[7; 4096]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Expects that the permit of the former client is free: another one is connected to its peer.
#[track_caller]
fn the_place_is_free(proxy: &Server, upstream: &TcpListener) {
    let start = Instant::now();
    let mut client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    server.set_read_timeout(Some(harness::DEADLINE)).unwrap();
    client.write_all(b"a fresh client").unwrap();
    expect_bytes(&server, b"a fresh client");
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}

#[test]
fn a_client_that_resets_while_its_upstream_takes_nothing_is_released() {
    let (upstream, proxy) = stage();
    for _ in 0..3 {
        let client = proxy.connect();
        let (server, _) = upstream.accept().unwrap();
        send_until_blocked(&client);
        client::reset(client);
        the_place_is_free(&proxy, &upstream);
        expect_reset(&server);
    }
    proxy.drain();
}

#[test]
fn a_client_that_ends_and_resets_while_its_upstream_takes_nothing_is_released() {
    let (upstream, proxy) = stage();
    let client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    send_until_blocked(&client);
    client.half_close();
    client::reset(client);
    the_place_is_free(&proxy, &upstream);
    drop(server);
    proxy.drain();
}

#[test]
fn a_client_that_ends_and_resets_while_its_upstream_is_silent_is_released() {
    let (upstream, proxy) = stage();
    let mut client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    client.write_all(b"question").unwrap();
    client.half_close();
    expect_bytes(&server, b"question");
    client::expect_end(&server);
    client::reset(client);
    the_place_is_free(&proxy, &upstream);
    drop(server);
    proxy.drain();
}

#[test]
fn a_client_that_resets_while_the_proxy_connects_is_released() {
    // A connect to a full backlog is not answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&silent, 0).unwrap();
    let addr = silent.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok())
        .collect();
    let to = addr.to_string();
    let proxy = Server::start(&["--mode", "proxy", "--to", &to, "--connect-timeout", "5m"]);
    let before = proxy.open_files();
    for _ in 0..10 {
        let client = proxy.connect();
        eventually("the proxy connects", || proxy.open_files() > before + 1);
        client::reset(client);
        eventually("the client is released", || proxy.open_files() == before);
    }
    proxy.drain();
}

#[test]
fn a_reset_while_the_program_takes_nothing_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let signaled = dir.path().join("signaled");
    let script = format!(
        "trap 'echo TERM > {}; exit' TERM; echo started; sleep 300 & wait",
        signaled.display()
    );
    let server = exec(&script);
    for blocks in [true, false] {
        let client = server.connect();
        expect_bytes(&client, b"started\n");
        if blocks {
            send_until_blocked(&client);
        } else {
            client.half_close();
        }
        let start = Instant::now();
        client::reset(client);
        eventually("its program got the signal", || signaled.exists());
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        fs::remove_file(&signaled).unwrap();
    }
    expect_bytes(server.connect(), b"started\n"); // the permit is free
}

fn sockets(server: &Server) -> usize {
    let fds = fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap();
    let names = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let is_socket = |name: &std::path::PathBuf| name.to_string_lossy().starts_with("socket:");
    names.filter(is_socket).count()
}

/// A proxy on a Unix socket, and an upstream that is the test itself.
fn unix_stage(dir: &tempfile::TempDir) -> (UnixListener, Server, std::path::PathBuf) {
    let path = dir.path().join("door");
    let behind = dir.path().join("upstream");
    let upstream = UnixListener::bind(&behind).unwrap();
    let (listen, to) = (
        format!("unix:{}", path.display()),
        format!("unix:{}", behind.display()),
    );
    let proxy = Server::run(command::main(&[
        "--listen", &listen, "--mode", "proxy", "--to", &to,
    ]));
    (upstream, proxy, path)
}

#[test]
fn what_a_unix_client_sent_before_it_closed_reaches_an_upstream_that_was_busy() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, proxy, path) = unix_stage(&dir);
    let client = UnixStream::connect(path).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    let written = send_until_blocked_unix(&client);
    drop(client);
    std::thread::sleep(Duration::from_millis(500)); // the upstream is busy
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), written);
    drop(server);
    proxy.drain();
}

#[test]
fn a_unix_client_that_closed_does_not_wait_forever_for_an_upstream_that_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, proxy, path) = unix_stage(&dir);
    let before = sockets(&proxy);
    let client = UnixStream::connect(path).unwrap();
    let (server, _) = upstream.accept().unwrap();
    send_until_blocked_unix(&client);
    drop(client);
    eventually("the client is released", || sockets(&proxy) == before);
    drop(server);
    proxy.drain();
}

#[test]
fn a_unix_client_that_closed_does_not_wait_forever_for_a_silent_upstream() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, proxy, path) = unix_stage(&dir);
    let before = sockets(&proxy);
    for last_words in [&b""[..], b"last words"] {
        let mut client = UnixStream::connect(&path).unwrap();
        let (mut server, _) = upstream.accept().unwrap();
        client.write_all(last_words).unwrap();
        drop(client);
        eventually("the client is released", || sockets(&proxy) == before);
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, last_words);
    }
    proxy.drain();
}

#[test]
fn a_unix_client_that_closes_while_the_proxy_connects_is_released_unless_it_has_sent_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, proxy, path) = unix_stage(&dir);
    rustix::net::listen(&upstream, 0).unwrap(); // a connect to a full backlog waits
    let before = sockets(&proxy);
    let _full = UnixStream::connect(dir.path().join("upstream")).unwrap();
    let start = Instant::now();
    drop(UnixStream::connect(&path).unwrap());
    eventually("the client is released", || sockets(&proxy) == before);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());

    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"last words").unwrap();
    drop(client);
    eventually("the proxy connects", || sockets(&proxy) > before);
    let _full = upstream.accept().unwrap();
    // The proxy may reach the first client only now, and connect it as well: that one sends
    // nothing.
    let mut upstream_received = (0..2).map(|_| {
        let (mut server, _) = upstream.accept().unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        received
    });
    let received = upstream_received.find(|received| !received.is_empty());
    assert_eq!(received.as_deref(), Some(&b"last words"[..]));
    proxy.drain();
}

#[test]
fn a_unix_client_that_closes_with_an_answer_unread_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, proxy, path) = unix_stage(&dir);
    let before = sockets(&proxy);
    let client = UnixStream::connect(path).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server.write_all(b"answer").unwrap();
    send_until_blocked_unix(&client);
    let start = Instant::now();
    drop(client); // unix(7): the unread answer makes this a reset for the proxy, as with TCP
    eventually("the client is released", || sockets(&proxy) == before);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    drop(server);
    proxy.drain();
}

#[test]
fn a_reset_by_the_upstream_while_the_client_takes_nothing_resets_the_client() {
    let (upstream, proxy) = stage();
    let client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    send_until_blocked(&server);
    client::reset(server);
    the_place_is_free(&proxy, &upstream);
    expect_reset(&client);
    proxy.drain();
}
