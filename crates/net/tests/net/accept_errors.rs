//! A listener survives every error of `accept(2)` and `recvfrom(2)`, unless its fd cannot listen.
//!
//! The tests that inject faults run another test of this file under strace, which makes `accept4`
//! or `recvfrom` fail.

use oneloop::aio::{self, block_on};
use oneloop::callback::{self, dgram, net as node};
use oneloop::green::{self, Wait, net::DatagramServer, net::StreamServer};
use oneloop::net::{Addr, ListenOptions, Listener, ListenerStats, UnixSeqpacketListener};
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketType};
use std::cell::{Cell, RefCell};
use std::env;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// The variable with the number of failing accepts, from the second one on, for a test under
/// strace.
const FAILURES: &str = "ONELOOP_TEST_FAILURES";

/// One error of each kind that is not fatal: forbidden, network, protocol, system.
const PASSING: [&str; 12] = [
    "EPERM",
    "EACCES",
    "EOPNOTSUPP",
    "ETIMEDOUT",
    "ECONNRESET",
    "ECONNABORTED",
    "EHOSTUNREACH",
    "EPROTO",
    "EIO",
    "ENOSYS",
    "ENOMEM",
    "ENFILE",
];

/// Runs a test of this file under strace, which makes the system call fail `failures` times from
/// its second call on.
#[track_caller]
fn pass_with_injected(test: &str, call: &str, errno: &str, failures: u32) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let inject = format!("inject={call}:error={errno}:when=2..{}", failures + 1);
    let strace = Command::new("strace")
        .args(["-f", "-e", &format!("trace={call}"), "-e", &inject, "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("accept_errors::{test}"), "--nocapture"])
        .env(FAILURES, failures.to_string())
        .output();
    let output = match strace {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("PTRACE") => output,
        other => return eprintln!("skipped: no strace here, or it may not trace: {other:?}"),
    };
    let log = std::fs::read_to_string(log.path()).unwrap();
    let injected = log.matches("(INJECTED)").count();
    assert_eq!(injected, failures as usize, "{test}, {errno}: {log}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test}, {errno}: {output:?}\n{log}"
    );
}

/// Checks the listener's final counters.
fn check(stats: ListenerStats, clients: u64) {
    let failures: u64 = std::env::var(FAILURES).map_or(0, |count| count.parse().unwrap());
    // A shortage pauses and sheds a client. It does not count as a failure.
    if stats.failed > 0 {
        assert_eq!(stats.failed, failures, "{stats:?}");
        assert_eq!(stats.pauses, failures / 8, "{stats:?}");
        assert_eq!(stats.errors, failures, "{stats:?}");
    }
    assert_eq!(stats.errors > 0, failures > 0, "{stats:?}");
    assert_eq!(stats.accepted + stats.shed, clients, "{stats:?}");
}

fn echoes(mut stream: impl Read + Write) {
    stream.write_all(b"hello").unwrap();
    let mut received = [0; 5];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"hello");
}

/// Three clients, one after the other.
fn three_clients(addr: SocketAddr) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..3 {
            let stream = TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            echoes(stream);
        }
    })
}

/// The accept loop of the README.
#[test]
fn an_async_server_serves_three_clients() {
    block_on(async {
        let listener = Rc::new(aio::TcpListener::bind("127.0.0.1:0").unwrap());
        let clients = three_clients(listener.local_addr().unwrap());
        let accepts = Rc::clone(&listener);
        let server = aio::spawn(async move {
            loop {
                let (stream, _peer) = accepts.accept().await?;
                aio::spawn(async move {
                    while let Some(chunk) = stream.read_chunk().await? {
                        stream.write_all(&chunk).await?;
                    }
                    std::io::Result::Ok(())
                });
            }
            #[allow(unreachable_code)]
            std::io::Result::Ok(())
        });
        aio::offload(move || clients.join().unwrap()).await.unwrap();
        check(listener.stats(), 3);
        server.cancel();
    });
}

#[test]
fn a_callback_server_serves_three_clients() {
    callback::run(|| {
        let server = node::create_server(|socket| {
            socket.pipe(&socket);
        });
        server.on_listening(|server| {
            let clients = three_clients(server.address().unwrap().inet().unwrap());
            aio::spawn(async move {
                aio::offload(move || clients.join().unwrap()).await.unwrap();
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).map(drop)
    })
    .unwrap();
}

#[test]
fn a_green_server_serves_three_clients() {
    green::run(|| {
        let listener = green::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let clients = three_clients(listener.local_addr().unwrap());
        let server = StreamServer::start(listener, |stream, _| {
            let _ = std::io::copy(&mut &stream, &mut &stream);
        });
        aio::offload(move || clients.join().unwrap())
            .wait()
            .unwrap();
        check(server.stats().unwrap(), 3);
        server.stop(None);
    })
    .unwrap();
}

#[test]
fn a_seqpacket_listener_accepts_three_clients() {
    let name = format!("oneloop-accept-{}", std::process::id());
    let addr = Addr::UnixAbstract(name.clone().into());
    let mut event_loop = oneloop::EventLoop::new().unwrap();
    let listener = event_loop
        .enter(|| UnixSeqpacketListener::bind(&addr))
        .unwrap();
    let clients = thread::spawn(move || {
        for _ in 0..3 {
            let fd = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
            let addr = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
            rustix::net::connect(&fd, &addr).unwrap();
            let hello = &mut [0; 5];
            assert_eq!(rustix::io::read(&fd, hello).unwrap(), 5);
        }
    });
    event_loop.block_on(async {
        for _ in 0..3 {
            let (socket, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            poll_fn(|cx| socket.poll_send(cx, b"hello")).await.unwrap();
        }
    });
    clients.join().unwrap();
    check(listener.stats(), 3);
}

const SERVERS: [&str; 4] = [
    "an_async_server_serves_three_clients",
    "a_callback_server_serves_three_clients",
    "a_green_server_serves_three_clients",
    "a_seqpacket_listener_accepts_three_clients",
];

#[test]
fn one_error_of_accept_costs_no_client_its_connection() {
    for server in SERVERS {
        for errno in PASSING {
            pass_with_injected(server, "accept4", errno, 1);
        }
    }
}

#[test]
fn after_39_errors_in_a_row_the_next_client_is_served() {
    for server in SERVERS {
        pass_with_injected(server, "accept4", "EPERM", 39);
    }
}

/// epoll_ctl(2) returns `ENOSPC` when no further watch is allowed. The client is shed.
#[test]
fn a_connection_that_epoll_refuses_is_passed_over() {
    let mut event_loop = oneloop::EventLoop::new().unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = (event_loop.enter(|| Listener::bind(&any, ListenOptions::default()))).unwrap();
    let addr = listener.local_addr().unwrap().inet().unwrap();
    let clients = [(); 2].map(|()| TcpStream::connect(addr).unwrap());
    event_loop.block_on(async {
        poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        if std::env::var(FAILURES).is_ok() {
            assert_eq!(listener.stats().shed, 1, "{:?}", listener.stats());
            let mut shed = &clients[0];
            shed.set_read_timeout(Some(DEADLINE)).unwrap();
            assert!(matches!(shed.read(&mut [0]), Ok(0)));
        }
    });
}

#[test]
fn a_lack_of_watches_sheds_one_client_and_accepts_the_next() {
    // The first watch is the loop's bell, the second the listener's.
    let test = "a_connection_that_epoll_refuses_is_passed_over";
    let probe = Command::new("strace").arg("-V").output();
    if probe.is_err() {
        return eprintln!("skipped: no strace here");
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-e", "trace=epoll_ctl", "-e"])
        .args(["inject=epoll_ctl:error=ENOSPC:when=3", "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("accept_errors::{test}")])
        .env(FAILURES, "1")
        .output()
        .unwrap();
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(log.matches("(INJECTED)").count(), 1, "{log}");
    assert!(output.status.success(), "{output:?}\n{log}");
}

/// Makes a listener deaf: after shutdown(2), accept(2) returns `EINVAL`.
fn deafen(listener: impl AsFd) {
    rustix::net::shutdown(listener, Shutdown::Read).unwrap();
}

#[test]
fn an_fd_that_cannot_listen_ends_an_accept_loop() {
    block_on(async {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(&any, ListenOptions::default()).unwrap();
        deafen(&listener);
        let error = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn an_fd_that_cannot_listen_closes_a_callback_server_after_error() {
    let events: Rc<RefCell<Vec<String>>> = Rc::default();
    let (on_error, on_close) = (Rc::clone(&events), Rc::clone(&events));
    callback::run(move || {
        let server = node::create_server(|_| ());
        server.on_error(move |_, error| on_error.borrow_mut().push(error.to_string()));
        server.on_close(move |_| on_close.borrow_mut().push("close".to_owned()));
        server.on_listening(|server| {
            let port = server.port().unwrap();
            deafen(fd_that_listens_on(port));
        });
        server.listen(("127.0.0.1", 0)).map(drop)
    })
    .unwrap();
    assert_eq!(*events.borrow(), ["accept EINVAL", "close"]);
}

/// Duplicates the fd of this process that listens on a port, and no other fd: concurrent tests
/// notice when one of their sockets stays open a moment longer.
fn fd_that_listens_on(port: u16) -> std::os::fd::OwnedFd {
    // proc(5): the second field is the local address, the fourth the state, the tenth the inode.
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace());
    let socket = rows
        .find_map(|mut row| {
            let mine = row.nth(1)?.ends_with(&format!(":{port:04X}")) && row.nth(1)? == "0A";
            mine.then(|| format!("socket:[{}]", row.nth(5).unwrap()))
        })
        .expect("the port has a listener");
    let mut fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let number = fds
        .find_map(|entry| {
            let entry = entry.unwrap();
            let target = std::fs::read_link(entry.path()).ok()?;
            (target.as_os_str() == &*socket).then(|| entry.file_name())
        })
        .and_then(|name| name.to_str()?.parse().ok())
        .expect("the listener is open");
    let this = rustix::process::getpid();
    let pidfd = rustix::process::pidfd_open(this, rustix::process::PidfdFlags::empty()).unwrap();
    let flags = rustix::process::PidfdGetfdFlags::empty();
    rustix::process::pidfd_getfd(&pidfd, number, flags).unwrap()
}

#[test]
fn an_fd_that_cannot_listen_fails_each_waiter_of_a_green_server() {
    green::run(|| {
        let listener = green::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = StreamServer::start(listener, |_, _| ());
        deafen(fd_that_listens_on(addr.port()));
        for _ in 0..2 {
            let error = server.until_stopped().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let refused = TcpStream::connect(addr).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    })
    .unwrap();
}

/// Sends three datagrams, each repeatedly until its answer arrives.
fn three_questions(addr: SocketAddr) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        for _ in 0..3 {
            client.send_to(b"hello", addr).unwrap();
            let mut received = [0; 5];
            // read(2), because strace makes recvfrom(2) fail.
            rustix::io::read(&client, &mut received).unwrap();
        }
    })
}

#[test]
fn a_green_datagram_server_answers_three_questions() {
    green::run(|| {
        let socket = green::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let clients = three_questions(socket.local_addr().unwrap());
        let answers = socket.clone();
        let server = DatagramServer::start(socket, move |datagram, from| {
            answers.send_to(&datagram, from).unwrap();
        });
        aio::offload(move || clients.join().unwrap())
            .wait()
            .unwrap();
        let stats = server.stats();
        let failures = std::env::var(FAILURES).map_or(0, |count| count.parse().unwrap());
        assert_eq!((stats.received, stats.failed), (3, failures));
        assert_eq!(stats.pauses, failures / 8);
        server.stop(None);
    })
    .unwrap();
}

#[test]
fn a_callback_datagram_socket_answers_three_questions() {
    let errors = Rc::new(Cell::new(0));
    let counts = Rc::clone(&errors);
    callback::run(move || {
        let socket = dgram::create_socket(dgram::Kind::Udp4);
        socket.on_error(move |_, _| counts.set(counts.get() + 1));
        socket.on_message(|socket, bytes, from| socket.send_to(bytes, from.addr));
        socket.bind_then(("127.0.0.1", 0), |socket| {
            let clients = three_questions(socket.address()?);
            aio::spawn(async move {
                aio::offload(move || clients.join().unwrap()).await.unwrap();
                socket.close().unwrap();
            });
            Ok::<_, callback::Error>(())
        })
    })
    .unwrap();
    let failures = std::env::var(FAILURES).map_or(0, |count| count.parse().unwrap());
    assert_eq!(errors.get(), failures);
}

#[test]
fn errors_of_recvfrom_cost_no_datagram() {
    if env::var_os("ONELOOP_CHAOS").is_some() {
        return println!("skipped: under ONELOOP_CHAOS, calls have more errors than are injected");
    }
    for test in [
        "a_green_datagram_server_answers_three_questions",
        "a_callback_datagram_socket_answers_three_questions",
    ] {
        for errno in ["ECONNREFUSED", "EPERM", "ENOBUFS", "ENOMEM", "EHOSTUNREACH"] {
            pass_with_injected(test, "recvfrom", errno, 1);
        }
        pass_with_injected(test, "recvfrom", "EPERM", 39);
    }
}
