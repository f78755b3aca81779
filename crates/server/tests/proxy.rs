//! `--mode proxy`: what goes in at one end comes out at the other, and so do ends, refusals and resets.

mod harness;

use harness::client::{self, HalfClose, connect, echo, hear, hear_end, hear_out, hear_reset};
use harness::server::Server;
use harness::{command, eventually, pattern};
use rustix::process::Signal;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

/// An upstream that the test plays itself, and a proxy in front of it.
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

/// A server that refuses: a port on which nobody listens any more.
fn deserted() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn words_go_both_ways() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, mut server) = wire(&upstream, &proxy);
    client.write_all(b"question").unwrap();
    hear(&server, b"question");
    server.write_all(b"answer").unwrap();
    hear(&client, b"answer");
    drop(client);
    hear_end(&server);
    drop(server);
    proxy.drain();
}

#[test]
fn an_upstream_may_speak_first() {
    let (upstream, proxy) = stage(&[]);
    let (client, mut server) = wire(&upstream, &proxy);
    server.write_all(b"220 welcome").unwrap();
    hear(&client, b"220 welcome");
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
        // Some pipes are kept for those who come next.
        proxy.open_files() <= before.0 + 16 && echo.open_files() == before.1
    });
    proxy.drain();
    echo.finish();
}

#[test]
fn many_bytes_go_both_ways_at_once() {
    let echo = Server::start(&[]);
    let proxy = to(&echo.addr().to_string(), &[]);
    let client = proxy.connect();
    client::echo_pattern(&client, 50_000_000);
    drop(client);
    proxy.drain();
    echo.finish();
}

#[test]
fn the_clients_end_reaches_the_upstream_which_still_answers() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"all I have").unwrap();
    client.half_close();
    hear(&server, b"all I have");
    hear_end(&server);
    pattern::write(&server, 3_000_000);
    drop(server);
    assert_eq!(pattern::expect_to_end(&client), 3_000_000);
    drop(client);
    proxy.drain();
}

#[test]
fn the_upstreams_end_reaches_the_client_which_still_talks() {
    let (upstream, proxy) = stage(&[]);
    let (client, mut server) = wire(&upstream, &proxy);
    server.write_all(b"all I have").unwrap();
    server.half_close();
    hear(&client, b"all I have");
    hear_end(&client);
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
fn unix_sockets_are_upstreams_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upstream.sock");
    let upstream = UnixListener::bind(&path).unwrap();
    let proxy = to(&format!("unix:{}", path.display()), &[]);
    let client = proxy.connect();
    let (server, _) = upstream.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let heard = pattern::expect_to_end(&server);
            assert_eq!(heard, 5_000_000);
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
fn a_unix_socket_can_be_the_door_to_tcp() {
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
fn names_are_looked_up() {
    let echo = Server::start(&[]);
    for host in ["localhost", "ip6-localhost", "no-such-host.invalid"] {
        let to_name = format!("{host}:{}", echo.addr().port());
        // Whatever the name is, the last place is reached.
        let proxy = to(&format!("{to_name},{}", echo.addr()), &[]);
        client::echo(proxy.connect(), host.as_bytes());
        proxy.drain();
    }
    echo.finish();
}

#[test]
fn places_that_cannot_be_reached_are_passed_over() {
    let echo = Server::start(&[]);
    let places = format!("{},unix:/no/such/socket,{}", deserted(), echo.addr());
    let proxy = to(&places, &[]);
    client::echo(proxy.connect(), b"who is there?");
    proxy.drain();
    echo.finish();
}

#[test]
fn a_client_without_an_upstream_hears_an_end_and_no_reset() {
    let mut proxy = to(&deserted(), &[]);
    for _ in 0..20 {
        let mut client = proxy.connect();
        client.write_all(b"nobody will read this").unwrap();
        hear_end(&client);
        client.half_close();
    }
    proxy.stderr.wait_for("there is no peer for it");
    let log = proxy.drain();
    let told = log.iter().filter(|line| line.contains("no peer")).count();
    assert!(told < 20, "each failure was told by itself");
    assert!(log.iter().any(|line| line.contains("refused")), "{log:#?}");
}

#[test]
fn an_upstream_that_does_not_answer_the_connect_is_given_up() {
    // A backlog that is full: connects to it are not answered.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&upstream, 0).unwrap();
    let addr = upstream.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok())
        .collect();
    let mut proxy = to(&addr.to_string(), &["--connect-timeout", "300ms"]);
    let start = Instant::now();
    hear_end(proxy.connect());
    assert!(start.elapsed() >= Duration::from_millis(300));
    proxy.stderr.wait_for("--connect-timeout");
    proxy.drain();
}

#[test]
fn a_reset_by_the_upstream_is_a_reset_for_the_client() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"hello").unwrap();
    hear(&server, b"hello");
    client::reset(server);
    hear_reset(&client);
    proxy.drain();
}

#[test]
fn a_reset_by_the_client_is_a_reset_for_the_upstream() {
    let (upstream, proxy) = stage(&[]);
    let (mut client, server) = wire(&upstream, &proxy);
    client.write_all(b"hello").unwrap();
    hear(&server, b"hello");
    client::reset(client);
    hear_reset(&server);
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
        hear_out(&accept(&upstream));
    }
    eventually("all fds are closed again", || proxy.open_files() == before);
    proxy.drain();
}

#[test]
fn a_slow_upstream_holds_its_client_back_and_no_memory() {
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
fn a_slow_client_holds_its_upstream_back() {
    let (upstream, proxy) = stage(&[]);
    let (client, server) = wire(&upstream, &proxy);
    thread::scope(|scope| {
        scope.spawn(|| {
            pattern::write(&server, 30_000_000);
            server.half_close();
        });
        thread::sleep(Duration::from_millis(100)); // slow, that is
        assert!(proxy.resident_kib() < 64 << 10);
        assert_eq!(pattern::expect_to_end(&client), 30_000_000);
    });
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_fast_pair_has_its_share_of_a_turn_and_no_more() {
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
fn silence_both_ways_is_the_idle_timeout() {
    let (upstream, mut proxy) = stage(&["--idle-timeout", "400ms"]);
    let (mut client, server) = wire(&upstream, &proxy);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        client.write_all(b"still here").unwrap();
        hear(&server, b"still here");
        thread::sleep(Duration::from_millis(100));
    }
    hear_out(&client);
    hear_out(&server);
    proxy.stderr.wait_for("--idle-timeout passed");
    proxy.drain();
}

#[test]
fn an_upstream_that_talks_keeps_a_silent_client() {
    let (upstream, proxy) = stage(&["--idle-timeout", "400ms"]);
    let (client, mut server) = wire(&upstream, &proxy);
    for _ in 0..12 {
        server.write_all(b"news").unwrap();
        hear(&client, b"news");
        thread::sleep(Duration::from_millis(100));
    }
    drop((client, server));
    proxy.drain();
}

#[test]
fn a_client_that_takes_nothing_is_the_write_timeout() {
    let (upstream, mut proxy) = stage(&["--write-timeout", "400ms"]);
    let (client, server) = wire(&upstream, &proxy);
    thread::scope(|scope| {
        scope.spawn(|| while (&server).write_all(&[7; 64 * 1024]).is_ok() {});
        proxy.stderr.wait_for("--write-timeout passed");
        hear_reset(&client); // what came is not all
    });
    proxy.drain();
}

#[test]
fn a_drain_passes_on_what_was_received_and_waits_for_the_answer() {
    for threads in ["1", "2"] {
        let (upstream, mut proxy) = stage(&["--drain", "30s", "--threads", threads]);
        let (mut client, mut server) = wire(&upstream, &proxy);
        client.write_all(b"first words").unwrap();
        hear(&server, b"first words");
        proxy.freeze();
        client.write_all(b"last words").unwrap();
        proxy.signal(Signal::TERM);
        proxy.thaw();
        hear(&server, b"last words");
        hear_end(&server); // from now on the upstream knows that no more comes
        server.write_all(b"last answer").unwrap();
        drop(server);
        hear(&client, b"last answer");
        hear_end(&client);
        drop(client);
        proxy.expect_exit(0);
    }
}

#[test]
fn a_drain_in_the_middle_of_much_loses_nothing() {
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
fn a_drain_gives_an_upstream_up_that_does_not_end() {
    let (upstream, mut proxy) = stage(&["--drain", "500ms"]);
    let (client, server) = wire(&upstream, &proxy);
    proxy.signal(Signal::TERM);
    hear_end(&server);
    proxy.expect_exit(1);
    drop((client, server));
}

#[test]
fn places_are_counted_and_given_back() {
    let (upstream, proxy) = stage(&["--max-conns", "1", "--when-full", "refuse"]);
    for _ in 0..20 {
        let (mut client, server) = wire(&upstream, &proxy);
        client.write_all(b"hello").unwrap();
        hear(&server, b"hello");
        hear_end(proxy.connect()); // there is no place for another one
        client.half_close();
        hear_end(&server);
        server.shutdown(Shutdown::Both).unwrap();
        hear_end(&client);
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
fn one_proxy_behind_another_is_no_different() {
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
