//! `--mode proxy`: bytes pass from each end to the other, and so do ends, refusals and resets.

mod harness;

use harness::client::{
    self, HalfClose, connect, echo, expect_bytes, expect_end, expect_reset, read_until_closed,
};
use harness::server::Server;
use harness::{command, eventually, pattern};
use rustix::process::Signal;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

/// An upstream that is the test itself, and a proxy in front of it.
fn stage(args: &[&str]) -> (TcpListener, Server) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = to(&upstream.local_addr().unwrap().to_string(), args);
    (upstream, proxy)
}

fn to(addr: &str, args: &[&str]) -> Server {
    Server::start(&[&["--mode", "proxy", "--to", addr], args].concat())
}

/// A client, and the upstream's end of it.
#[track_caller]
fn wire(upstream: &TcpListener, proxy: &Server) -> (TcpStream, TcpStream) {
    let client = proxy.connect();
    (client, accept(upstream))
}

#[track_caller]
fn accept(upstream: &TcpListener) -> TcpStream {
    let (accepted, _) = upstream.accept().unwrap();
    accepted.set_read_timeout(Some(harness::DEADLINE)).unwrap();
    accepted.set_write_timeout(Some(harness::DEADLINE)).unwrap();
    accepted
}

/// An address that refuses connections: a port on which no socket listens any more.
fn deserted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn words_pass_both_ways() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, mut server) = wire(&upstream, &proxy);
    client.write_all(b"question").unwrap();
    expect_bytes(&server, b"question");
    server.write_all(b"answer").unwrap();
    expect_bytes(&client, b"answer");
    drop(client);
    expect_end(&server);
    drop(server);
    proxy.drain();
}

#[test]
fn an_upstream_may_speak_first() {
    let (upstream, proxy) = stage(&[]);
    let (client, mut server) = wire(&upstream, &proxy);
    server.write_all(b"220 welcome").unwrap();
    expect_bytes(&client, b"220 welcome");
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_thousand_clients_get_every_byte_back() {
    harness::raise_limit_of_files();
    const CLIENTS: usize = 1000;
    const BYTES: usize = 100_000;
    let echo = Server::start(&[]);
    let proxy = to(&echo.addr().to_string(), &[]);
    let before = (proxy.open_files(), echo.open_files());
    let clients: Vec<_> = (0..CLIENTS).map(|_| proxy.connect()).collect();
    client::echo_many(clients, BYTES);
    eventually("all fds are closed again", || {
        // The loop keeps some pipes for later clients.
        proxy.open_files() <= before.0 + 16 && echo.open_files() == before.1
    });
    proxy.drain();
    echo.finish();
}

#[test]
fn many_bytes_pass_both_ways_at_the_same_time() {
    let echo = Server::start(&[]);
    let proxy = to(&echo.addr().to_string(), &[]);
    let client = proxy.connect();
    client::echo_pattern(&client, 50_000_000);
    drop(client);
    proxy.drain();
    echo.finish();
}

#[test]
fn an_upstream_can_answer_after_the_clients_end() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"all I have").unwrap();
    client.half_close();
    expect_bytes(&server, b"all I have");
    expect_end(&server);
    pattern::write(&server, 3_000_000);
    drop(server);
    assert_eq!(pattern::expect_to_end(&client), 3_000_000);
    drop(client);
    proxy.drain();
}

#[test]
fn a_client_can_send_after_the_upstreams_end() {
    let (upstream, proxy) = stage(&[]);
    let (client, mut server) = wire(&upstream, &proxy);
    server.write_all(b"all I have").unwrap();
    server.half_close();
    expect_bytes(&client, b"all I have");
    expect_end(&client);
    thread::scope(|scope| {
        scope.spawn(|| {
            pattern::write(&client, 3_000_000);
            client.half_close();
        });
        assert_eq!(pattern::expect_to_end(&server), 3_000_000);
    });
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_unix_socket_can_be_an_upstream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upstream.sock");
    let upstream = UnixListener::bind(&path).unwrap();
    let proxy = to(&format!("unix:{}", path.display()), &[]);
    let client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let received = pattern::expect_to_end(&server);
            assert_eq!(received, 5_000_000);
            pattern::write(&server, 5_000_000);
            server.half_close();
        });
        pattern::write(&client, 5_000_000);
        client.half_close();
        assert_eq!(pattern::expect_to_end(&client), 5_000_000);
    });
    drop(client);
    proxy.drain();
}

#[test]
fn a_unix_listener_can_lead_to_a_tcp_upstream() {
    let echo = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("door.sock");
    let listen = format!("unix:{}", path.display());
    let addr = echo.addr().to_string();
    let args = ["--listen", &listen, "--mode", "proxy", "--to", &addr];
    let proxy = Server::run(command::main(&args));
    let client = client::connect_unix(UnixStream::connect(&path).unwrap());
    client::echo_pattern(&client, 1_000_000);
    drop(client);
    proxy.drain();
    echo.finish();
}

#[test]
fn upstream_names_are_resolved() {
    let echo = Server::start(&[]);
    for host in ["localhost", "ip6-localhost", "no-such-host.invalid"] {
        let to_name = format!("{host}:{}", echo.addr().port());
        // Whatever the name leads to, the last target is reached.
        let proxy = to(&format!("{to_name},{}", echo.addr()), &[]);
        client::echo(proxy.connect(), host.as_bytes());
        proxy.drain();
    }
    echo.finish();
}

#[test]
fn targets_that_cannot_be_reached_are_skipped() {
    let echo = Server::start(&[]);
    let places = format!("{},unix:/no/such/socket,{}", deserted(), echo.addr());
    let proxy = to(&places, &[]);
    client::echo(proxy.connect(), b"which upstream?");
    proxy.drain();
    echo.finish();
}

#[test]
fn a_client_without_an_upstream_gets_an_end_and_no_reset() {
    let mut proxy = to(&deserted(), &[]);
    for _ in 0..20 {
        let mut client = proxy.connect();
        client.write_all(b"this is not read").unwrap();
        expect_end(&client);
        client.half_close();
    }
    proxy.stderr.wait_for("there is no peer for it");
    let log = proxy.drain();
    let lines = log.iter().filter(|line| line.contains("no peer")).count();
    assert!(lines < 20, "each failure has its own line");
    assert!(log.iter().any(|line| line.contains("refused")), "{log:#?}");
}

#[test]
fn a_connect_that_is_not_answered_times_out() {
    // A connect to a full backlog is not answered.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&upstream, 0).unwrap();
    let addr = upstream.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok())
        .collect();
    let mut proxy = to(&addr.to_string(), &["--connect-timeout", "300ms"]);
    let start = Instant::now();
    expect_end(proxy.connect());
    assert!(start.elapsed() >= Duration::from_millis(300));
    proxy.stderr.wait_for("--connect-timeout");
    proxy.drain();
}

#[test]
fn a_reset_by_the_upstream_resets_the_client() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"hello").unwrap();
    expect_bytes(&server, b"hello");
    client::reset(server);
    expect_reset(&client);
    proxy.drain();
}

#[test]
fn a_reset_by_the_client_resets_the_upstream() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"hello").unwrap();
    expect_bytes(&server, b"hello");
    client::reset(client);
    expect_reset(&server);
    proxy.drain();
}

#[test]
fn a_client_that_leaves_early_leaves_nothing_behind() {
    let (upstream, proxy) = stage(&[]);
    let before = proxy.open_files();
    for round in 0..50 {
        let client = proxy.connect();
        if round % 2 == 0 {
            client::reset(client);
        } else {
            drop(client);
        }
        read_until_closed(&accept(&upstream));
    }
    eventually("all fds are closed again", || proxy.open_files() == before);
    proxy.drain();
}

#[test]
fn a_slow_upstream_slows_its_client_down_and_costs_no_memory() {
    let (upstream, proxy) = stage(&[]);
    let (client, server) = wire(&upstream, &proxy);
    let before = proxy.resident_kib();
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_millis(300) {
        let more = pattern::write_what_fits(&client, written);
        if more > 0 {
            quiet_since = Instant::now();
        }
        written += more;
        thread::yield_now();
    }
    client.set_nonblocking(false).unwrap();
    assert!(written < 64 << 20, "{written} bytes are somewhere");
    assert!(proxy.resident_kib() < before + 4096);
    proxy.expect_rest();
    client.half_close();
    assert_eq!(pattern::expect_to_end(&server), written);
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_slow_client_slows_its_upstream_down() {
    let (upstream, proxy) = stage(&[]);
    let (client, server) = wire(&upstream, &proxy);
    thread::scope(|scope| {
        scope.spawn(|| {
            pattern::write(&server, 30_000_000);
            server.half_close();
        });
        thread::sleep(Duration::from_millis(100)); // a slow reader
        assert!(proxy.resident_kib() < 64 << 10);
        assert_eq!(pattern::expect_to_end(&client), 30_000_000);
    });
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_fast_pair_gets_its_share_of_a_turn_and_no_more() {
    const SHARE: usize = 2 * 64 * 1024;
    let (upstream, proxy) = stage(&["--trace"]);
    let (client, server) = wire(&upstream, &proxy);
    proxy.freeze();
    client.set_nonblocking(true).unwrap();
    let bytes = pattern::write_what_fits(&client, 0);
    proxy.thaw();
    pattern::expect(&server, bytes);
    drop((client, server));
    let turns = proxy
        .drain()
        .iter()
        .filter(|line| line.contains(" poll "))
        .count();
    assert!(turns > bytes / SHARE, "{bytes} bytes in {turns} turns");
}

#[test]
fn silence_both_ways_runs_into_the_idle_timeout() {
    let (upstream, mut proxy) = stage(&["--idle-timeout", "400ms"]);
    let (mut client, server) = wire(&upstream, &proxy);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        client.write_all(b"still here").unwrap();
        expect_bytes(&server, b"still here");
        thread::sleep(Duration::from_millis(100));
    }
    read_until_closed(&client);
    read_until_closed(&server);
    proxy.stderr.wait_for("--idle-timeout passed");
    proxy.drain();
}

#[test]
fn a_silent_client_stays_while_its_upstream_talks() {
    let (upstream, proxy) = stage(&["--idle-timeout", "400ms"]);
    let (client, mut server) = wire(&upstream, &proxy);
    for _ in 0..12 {
        server.write_all(b"news").unwrap();
        expect_bytes(&client, b"news");
        thread::sleep(Duration::from_millis(100));
    }
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_client_that_takes_nothing_runs_into_the_write_timeout() {
    let (upstream, mut proxy) = stage(&["--write-timeout", "400ms"]);
    let (client, server) = wire(&upstream, &proxy);
    thread::scope(|scope| {
        scope.spawn(|| while (&server).write_all(&[7; 64 * 1024]).is_ok() {});
        proxy.stderr.wait_for("--write-timeout passed");
        expect_reset(&client); // the output was cut off
    });
    proxy.drain();
}

#[test]
fn a_drain_passes_on_what_was_received_and_waits_for_the_answer() {
    for threads in ["1", "2"] {
        let (upstream, mut proxy) = stage(&["--drain", "30s", "--threads", threads]);
        let (mut client, mut server) = wire(&upstream, &proxy);
        client.write_all(b"first words").unwrap();
        expect_bytes(&server, b"first words");
        proxy.freeze();
        client.write_all(b"last words").unwrap();
        proxy.signal(Signal::TERM);
        proxy.thaw();
        expect_bytes(&server, b"last words");
        expect_end(&server); // the upstream sees the end of the input
        server.write_all(b"last answer").unwrap();
        drop(server);
        expect_bytes(&client, b"last answer");
        expect_end(&client);
        drop(client);
        proxy.expect_exit(0);
    }
}

#[test]
fn a_drain_in_the_middle_of_a_transfer_loses_nothing() {
    for threads in ["1", "2"] {
        let echo = Server::start(&[]);
        let addr = echo.addr().to_string();
        let mut proxy = to(&addr, &["--drain", "30s", "--threads", threads]);
        let client = proxy.connect();
        client::echo(&client, b"hello");
        proxy.freeze();
        client.set_nonblocking(true).unwrap();
        let written = pattern::write_what_fits(&client, 0);
        client.set_nonblocking(false).unwrap();
        let received = proxy.unread_from(&client);
        assert!(received > 0 && received <= written);
        proxy.signal(Signal::TERM);
        proxy.thaw();
        assert!(pattern::expect_to_end(&client) >= received);
        drop(client);
        proxy.expect_exit(0);
        echo.finish();
    }
}

#[test]
fn a_drain_closes_an_upstream_that_does_not_end() {
    let (upstream, mut proxy) = stage(&["--drain", "500ms"]);
    let (client, server) = wire(&upstream, &proxy);
    proxy.signal(Signal::TERM);
    expect_end(&server);
    proxy.expect_exit(1);
    drop((client, server));
}

#[test]
fn permits_are_counted_and_released() {
    let (upstream, proxy) = stage(&["--max-conns", "1", "--when-full", "refuse"]);
    for _ in 0..20 {
        let (mut client, server) = wire(&upstream, &proxy);
        client.write_all(b"hello").unwrap();
        expect_bytes(&server, b"hello");
        expect_end(proxy.connect()); // there is no permit for another one
        client.half_close();
        expect_end(&server);
        server.shutdown(Shutdown::Both).unwrap();
        expect_end(&client);
    }
    proxy.drain();
}

#[test]
fn an_idle_pair_costs_nothing() {
    let upstream = Server::start(&[]);
    let proxy = to(&upstream.addr().to_string(), &[]);
    let clients: Vec<_> = (0..50).map(|_| proxy.connect()).collect();
    clients.iter().for_each(|client| echo(client, b"hello"));
    proxy.expect_rest();
    drop(clients);
    proxy.drain();
    upstream.finish();
}

#[test]
fn wrong_command_lines_are_refused() {
    for (args, said) in [
        (&["--mode", "proxy"][..], "--mode proxy needs --to"),
        (
            &["--to", "127.0.0.1:80"],
            "--to 127.0.0.1:80 is for --mode proxy",
        ),
        (
            &["--mode", "proxy", "--to", "nonsense"],
            "cannot connect to 'nonsense'",
        ),
        (
            &["--mode", "proxy", "--to", "unix:"],
            "cannot connect to 'unix:'",
        ),
    ] {
        command::expect_refused(args, said);
    }
}

#[test]
fn a_proxy_behind_a_proxy_changes_nothing() {
    let echo = Server::start(&[]);
    let inner = to(&echo.addr().to_string(), &[]);
    let outer = to(&inner.addr().to_string(), &[]);
    let client = connect(outer.addr());
    client::echo_pattern(&client, 5_000_000);
    drop(client);
    outer.drain();
    inner.drain();
    echo.finish();
}
