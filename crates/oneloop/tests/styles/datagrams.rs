//! Datagram sockets: scenarios that all three styles share, and the examples.

use oneloop::aio;
use oneloop::callback::dgram::{self, Kind, UnixSocket};
use oneloop::callback::{Thrown, run_on};
use oneloop::green::{self, net as green_net};
use oneloop::net::Addr;
use oneloop::{EventLoop, Options};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[allow(dead_code)] // its `main`
#[path = "../../examples/datagrams.rs"]
mod datagrams_example;

#[allow(dead_code)] // its `main`
#[path = "../../examples/fd_passing.rs"]
mod fd_passing_example;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn say(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn message(&self, bytes: &[u8]) {
        self.say(format!("'{}'", String::from_utf8_lossy(bytes)));
    }

    fn error(&self, error: &io::Error) {
        self.say(format!("{:?}", error.kind()));
    }
}

/// A scenario in the three styles, with the lines that each must note.
struct Scenario {
    with_await: fn(Log),
    green: fn(Log),
    with_callbacks: fn(Log),
    lines: &'static [&'static str],
}

fn check(scenario: &Scenario) {
    let styles = [
        ("async", scenario.with_await),
        ("green", scenario.green),
        ("callback", scenario.with_callbacks),
    ];
    for (style, run) in styles {
        let log = Log::default();
        run(log.clone());
        assert_eq!(*log.0.borrow(), scenario.lines, "{style}");
    }
}

fn event_loop() -> EventLoop {
    EventLoop::with(Options::virtual_time()).unwrap()
}

fn with_await(body: impl AsyncFnOnce() -> io::Result<()>) {
    event_loop().block_on(body()).unwrap();
}

fn green(body: impl FnOnce() -> io::Result<()> + 'static) {
    green::run_on(&mut event_loop(), body).unwrap().unwrap();
}

fn with_callbacks(body: impl FnOnce() -> Result<(), Thrown> + 'static) {
    assert_eq!(run_on(&mut event_loop(), body).unwrap(), 0);
}

fn abstract_name() -> Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Addr::UnixAbstract(format!("oneloop-datagrams-{}-{number}", std::process::id()).into())
}

/// An address without a listener.
fn addr_without_listener() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

const TEXTS: [&str; 3] = ["one", "", "three"];

#[test]
fn udp_datagrams_arrive_whole_and_answers_reach_their_senders() {
    check(&Scenario {
        lines: &["'one'", "''", "'three'", "answered 'three'"],
        with_await: |log| {
            with_await(async || {
                let server = aio::UdpSocket::bind("127.0.0.1:0")?;
                let client = aio::UdpSocket::bind("127.0.0.1:0")?;
                for text in TEXTS {
                    client
                        .send_to(text.as_bytes(), server.local_addr()?)
                        .await?;
                }
                let mut buf = [0; 16];
                for _ in TEXTS {
                    let (datagram, from) = server.recv_from(&mut buf).await?;
                    log.message(&buf[..datagram.bytes]);
                    if datagram.bytes == 5 {
                        server.send_to(&buf[..5], from).await?;
                    }
                }
                let datagram = client.recv(&mut buf).await?;
                log.say(format!(
                    "answered '{}'",
                    str::from_utf8(&buf[..datagram.bytes]).unwrap()
                ));
                Ok(())
            });
        },
        green: |log| {
            green(move || {
                let server = green_net::UdpSocket::bind(("127.0.0.1", 0))?;
                let client = green_net::UdpSocket::bind(("127.0.0.1", 0))?;
                for text in TEXTS {
                    client.send_to(text.as_bytes(), server.local_addr()?)?;
                }
                let mut buf = [0; 16];
                for _ in TEXTS {
                    let (datagram, from) = server.recv_from(&mut buf)?;
                    log.message(&buf[..datagram.bytes]);
                    if datagram.bytes == 5 {
                        server.send_to(&buf[..5], from)?;
                    }
                }
                let datagram = client.recv(&mut buf)?;
                log.say(format!(
                    "answered '{}'",
                    str::from_utf8(&buf[..datagram.bytes]).unwrap()
                ));
                Ok(())
            });
        },
        with_callbacks: |log| {
            with_callbacks(move || {
                let server = dgram::create_socket(Kind::Udp4);
                let noting = log.clone();
                server.on_message(move |server, bytes, from| {
                    noting.message(bytes);
                    if bytes.len() == 5 {
                        server.send_to(bytes, from.addr)?;
                    }
                    Ok::<_, Thrown>(())
                });
                server.bind_then(("127.0.0.1", 0), move |server| {
                    let client = dgram::create_socket(Kind::Udp4);
                    for text in TEXTS {
                        client.send_to(text, server.address()?)?;
                    }
                    client.on_message(move |client, bytes, _| {
                        log.say(format!("answered '{}'", str::from_utf8(bytes).unwrap()));
                        client.close()?;
                        server.close()
                    });
                    Ok::<_, Thrown>(())
                })?;
                Ok(())
            });
        },
    });
}

#[test]
fn a_connected_udp_socket_reports_that_no_socket_listens() {
    check(&Scenario {
        lines: &["sent 8", "ConnectionRefused"],
        with_await: |log| {
            with_await(async || {
                let client = aio::UdpSocket::bind("127.0.0.1:0")?;
                client.connect(addr_without_listener())?;
                client.send(b"question").await?;
                log.say("sent 8");
                log.error(&client.recv(&mut [0; 8]).await.unwrap_err());
                Ok(())
            });
        },
        green: |log| {
            green(move || {
                let client = green_net::UdpSocket::bind(("127.0.0.1", 0))?;
                client.connect(addr_without_listener())?;
                client.send(b"question")?;
                log.say("sent 8");
                log.error(&client.recv(&mut [0; 8]).unwrap_err());
                Ok(())
            });
        },
        with_callbacks: |log| {
            with_callbacks(move || {
                let client = dgram::create_socket(Kind::Udp4);
                let (noting, sends) = (log.clone(), client.clone());
                client.on_error(move |client, error| {
                    noting.error(&error.clone().into());
                    client.close()
                });
                client.connect_then(addr_without_listener(), move |connected| {
                    connected?;
                    sends.send_then("question", move |sent| {
                        log.say(format!("sent {}", sent?));
                        Ok::<_, Thrown>(())
                    })?;
                    Ok::<_, Thrown>(())
                })?;
                Ok(())
            });
        },
    });
}

#[test]
fn packets_to_an_abstract_name_keep_their_bounds() {
    check(&Scenario {
        lines: &["'one'", "''", "'three'", "end"],
        with_await: |log| {
            with_await(async || {
                let name = abstract_name();
                let listener = aio::UnixSeqpacketListener::bind(&name)?;
                let client = aio::UnixSeqpacket::connect(&name).await?;
                let (server, _) = listener.accept().await?;
                for text in TEXTS {
                    client.send(text.as_bytes()).await?;
                }
                drop(client);
                let mut buf = [0; 16];
                while let Some(message) = server.recv(&mut buf).await? {
                    log.message(&buf[..message.bytes]);
                }
                log.say("end");
                Ok(())
            });
        },
        green: |log| {
            green(move || {
                let name = abstract_name();
                let listener = green_net::UnixSeqpacketListener::bind(&name)?;
                let client = green_net::UnixSeqpacket::connect(&name)?;
                let (server, _) = listener.accept()?;
                for text in TEXTS {
                    client.send(text.as_bytes())?;
                }
                client.close();
                let mut buf = [0; 16];
                while let Some(message) = server.recv(&mut buf)? {
                    log.message(&buf[..message.bytes]);
                }
                log.say("end");
                Ok(())
            });
        },
        with_callbacks: |log| {
            with_callbacks(move || {
                let name = abstract_name();
                let server = Rc::new(RefCell::new(None));
                let listens = Rc::clone(&server);
                let listening = UnixSocket::listen(&name, move |socket| {
                    let (noting, ends, listens) = (log.clone(), log.clone(), Rc::clone(&listens));
                    socket.on_message(move |_, message| noting.message(message.bytes()));
                    socket.on_end(move |socket| {
                        ends.say("end");
                        socket.close();
                        let server: Option<dgram::UnixServer> = listens.take();
                        server.expect("the server listens").close();
                    });
                })?;
                server.replace(Some(listening));
                UnixSocket::connect(&name, |client| {
                    let client = client?;
                    for text in TEXTS {
                        client.send(text);
                    }
                    client.close();
                    Ok::<_, Thrown>(())
                });
                Ok(())
            });
        },
    });
}

/// A pipe with text in it. The test passes its reading end.
fn full_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (read, mut write) = pipe()?;
    write.write_all(b"through the pipe")?;
    Ok((read, write))
}

fn read_16(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let mut text = vec![0; 16];
    File::from(fd).read_exact(&mut text)?;
    Ok(text)
}

#[test]
fn a_passed_fd_is_open_in_the_receiver() {
    check(&Scenario {
        lines: &["'with an fd'", "'through the pipe'"],
        with_await: |log| {
            with_await(async || {
                let name = abstract_name();
                let server = aio::UnixDatagram::bind(&name)?;
                let (read, _write) = full_pipe()?;
                let client = aio::UnixDatagram::unbound()?;
                client
                    .send_fds_to(b"with an fd", &[read.as_fd()], &name)
                    .await?;
                drop(read);
                let mut buf = [0; 16];
                let mut message = server.recv_fds(&mut buf, 1).await?;
                log.message(&buf[..message.bytes]);
                log.message(&read_16(message.fds.remove(0))?);
                Ok(())
            });
        },
        green: |log| {
            green(move || {
                let name = abstract_name();
                let server = green_net::UnixDatagram::bind(&name)?;
                let (read, _write) = full_pipe()?;
                let client = green_net::UnixDatagram::unbound()?;
                client.send_fds_to(b"with an fd", &[read.as_fd()], &name)?;
                drop(read);
                let mut buf = [0; 16];
                let mut message = server.recv_fds(&mut buf, 1)?;
                log.message(&buf[..message.bytes]);
                log.message(&read_16(message.fds.remove(0))?);
                Ok(())
            });
        },
        with_callbacks: |log| {
            with_callbacks(move || {
                let (client, server) = UnixSocket::pair()?;
                let (read, write) = full_pipe()?;
                server.on_message(move |server, message| {
                    let _open = &write;
                    log.message(message.bytes());
                    log.message(&read_16(message.take_fds().remove(0))?);
                    server.close();
                    Ok::<_, Thrown>(())
                });
                let closes = client.clone();
                client.send_fds_then("with an fd", vec![read.into()], move |sent| {
                    closes.close();
                    sent
                });
                Ok(())
            });
        },
    });
}

#[test]
fn a_send_to_a_full_receiver_waits_in_all_styles() {
    /// More messages than a receiver has room for.
    const MANY: usize = 100;
    check(&Scenario {
        lines: &["100 came"],
        with_await: |log| {
            with_await(async || {
                let name = abstract_name();
                let server = aio::UnixDatagram::bind(&name)?;
                let sender = aio::spawn(async move {
                    let client = aio::UnixDatagram::unbound()?;
                    for _ in 0..MANY {
                        client.send_to(b"x", &name).await?;
                    }
                    io::Result::Ok(())
                });
                for _ in 0..MANY {
                    server.recv(&mut [0; 4]).await?;
                }
                log.say(format!("{MANY} came"));
                sender.await.unwrap()
            });
        },
        green: |log| {
            green(move || {
                let name = abstract_name();
                let server = green_net::UnixDatagram::bind(&name)?;
                let sender = green::spawn(move || {
                    let client = green_net::UnixDatagram::unbound()?;
                    (0..MANY).try_for_each(|_| client.send_to(b"x", &name))
                });
                for _ in 0..MANY {
                    server.recv(&mut [0; 4])?;
                }
                log.say(format!("{MANY} came"));
                sender.join().unwrap()
            });
        },
        with_callbacks: |log| {
            with_callbacks(move || {
                let name = abstract_name();
                let server = UnixSocket::bind(&name)?;
                let came = RefCell::new(0);
                server.on_message(move |server, _| {
                    *came.borrow_mut() += 1;
                    if *came.borrow() == MANY {
                        log.say(format!("{MANY} came"));
                        server.close();
                    }
                });
                let client = UnixSocket::unbound()?;
                for _ in 1..MANY {
                    client.send_to_then("x", &name, |sent| sent.map(drop));
                }
                let closes = client.clone();
                client.send_to_then("x", &name, move |sent| {
                    closes.close();
                    sent
                });
                Ok(())
            });
        },
    });
}

#[test]
fn closing_a_green_socket_wakes_its_waiters() {
    green(|| {
        let (a, _b) = green_net::UnixSeqpacket::pair()?;
        let (c, _d) = green_net::UnixDatagram::pair()?;
        let (receives_a, receives_c) = (a.clone(), c.clone());
        let waiting = [
            green::spawn(move || receives_a.recv(&mut [0; 4]).map(drop)),
            green::spawn(move || receives_c.recv_fds(&mut [0; 4], 1).map(drop)),
        ];
        green::yield_now();
        a.close();
        c.close();
        for thread in waiting {
            let error = thread.join().unwrap().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(9)); // EBADF
        }
        assert_eq!(a.send(b"").unwrap_err().raw_os_error(), Some(9));
        Ok(())
    });
}

#[test]
fn green_sockets_have_timeouts() {
    green(|| {
        let (a, _b) = green_net::UnixSeqpacket::pair()?;
        a.set_read_timeout(Some(Duration::from_millis(5)));
        assert_eq!(
            a.recv(&mut [0; 4]).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        a.set_read_timeout(Some(Duration::ZERO));
        assert_eq!(
            a.recv(&mut [0; 4]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let server = green_net::UdpSocket::bind(("127.0.0.1", 0))?;
        server.set_read_timeout(Some(Duration::from_millis(5)));
        let mut batch = green_net::RecvBatch::new(4, 16);
        let error = server.recv_batch(&mut batch).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let client = green_net::UdpSocket::bind(("127.0.0.1", 0))?;
        let to = server.local_addr()?;
        let outgoing = ["a", "b"].map(|text| green_net::Outgoing::to(to, text.as_bytes()));
        assert_eq!(client.send_batch(&outgoing)?, 2);
        assert_eq!(server.recv_batch(&mut batch)?, 2);
        assert!(client.socket()?.set_ttl(3).is_ok());
        Ok(())
    });
}

#[test]
fn closing_a_callback_socket_drops_its_unsent_datagrams() {
    let log = Log::default();
    let noting = log.clone();
    with_callbacks(move || {
        let name = abstract_name();
        let server = UnixSocket::bind(&name)?;
        server.unref();
        let client = UnixSocket::unbound()?;
        let closes = client.clone();
        for n in 0..2000 {
            let (noting, closes) = (noting.clone(), closes.clone());
            client.send_to_then("x", &name, move |sent| match sent {
                Ok(_) => closes.close(), // when the first one was sent
                Err(error) if n == 1999 => noting.say(error.to_string()),
                Err(_) => {}
            });
        }
        Ok(())
    });
    assert_eq!(*log.0.borrow(), ["send ECANCELED"]);
}

#[test]
fn the_example_of_datagrams_runs() {
    let log = Log::default();
    datagrams_example::datagrams(|line| log.say(line)).unwrap();
    let lines = log.0.borrow();
    let batch = "a batch: 64 sent and 64 received, in one call each; sum 2016";
    assert_eq!(lines[0], batch);
    let with = "GSO and GRO: one buffer was 64 datagrams; sum 2016";
    assert!(
        lines[1] == with || lines[1].starts_with("without GSO"),
        "{}",
        lines[1]
    );
}

#[test]
fn the_example_of_fd_passing_runs() {
    let log = Log::default();
    fd_passing_example::fd_passing(|line| log.say(line)).unwrap();
    let expected = [
        "everything: no, with 0 fds",
        "secret: here it is, with 1 fds",
        "it says: the keeper's words",
    ];
    assert_eq!(*log.0.borrow(), expected);
}
