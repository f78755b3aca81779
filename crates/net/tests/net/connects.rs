//! Connects that take more than one connect(2): full Unix backlogs, and sockets connected to
//! themselves.

use oneloop::net::{
    Addr, ConnectOptions, Socket, TcpStream, Unconnected, UnixSeqpacket, UnixStream,
};
use oneloop::{EventLoop, Handle, aio, callback, green};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, listen};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const A_WHILE: Duration = Duration::from_millis(20);

/// A Unix listener whose backlog is full: one connection waits in it, and it has room for no other.
struct Full {
    _dir: tempfile::TempDir,
    addr: Addr,
    listener: OwnedFd,
    waiting: OwnedFd,
}

impl Full {
    fn new(kind: SocketType) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full");
        let name = SocketAddrUnix::new(path.as_path()).unwrap();
        let socket =
            |flags| rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
        let listener = socket(SocketFlags::CLOEXEC);
        rustix::net::bind(&listener, &name).unwrap();
        listen(&listener, 0).unwrap();
        let waiting = socket(SocketFlags::CLOEXEC);
        rustix::net::connect(&waiting, &name).unwrap();
        let late = socket(SocketFlags::NONBLOCK);
        let refused = rustix::net::connect(&late, &name);
        assert_eq!(refused, Err(Errno::AGAIN), "the backlog is full");
        Full {
            _dir: dir,
            addr: Addr::UnixPath(path),
            listener,
            waiting,
        }
    }

    /// Makes room for one connection.
    fn accept(&self) {
        accept(&self.listener).unwrap();
    }

    fn path(&self) -> &std::path::Path {
        match &self.addr {
            Addr::UnixPath(path) => path,
            _ => unreachable!(),
        }
    }
}

fn run<F: Future>(make: impl FnOnce(Handle) -> F) -> F::Output {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(make(handle))
}

/// Checks that a connect waits while the backlog is full, and completes once there is room.
async fn check_waits<T>(
    handle: &Handle,
    full: &Full,
    connect: impl Future<Output = io::Result<T>>,
) {
    let mut connect = pin!(connect);
    let limited = handle.timeout(A_WHILE, connect.as_mut()).await;
    assert!(limited.is_err(), "it ended though the backlog was full");
    full.accept();
    connect.await.unwrap();
    let _ = &full.waiting;
}

#[test]
fn a_connect_to_a_full_unix_listener_waits_for_room() {
    run(|handle| async move {
        let full = Full::new(SocketType::STREAM);
        check_waits(&handle, &full, UnixStream::connect(&full.addr)).await;
        let full = Full::new(SocketType::STREAM);
        let connecting = Socket::connect(&full.addr).unwrap();
        check_waits(&handle, &full, connecting).await;
        let full = Full::new(SocketType::STREAM);
        check_waits(&handle, &full, aio::UnixStream::connect(full.path())).await;
    });
}

#[test]
fn a_connect_to_a_full_seqpacket_listener_waits_for_room() {
    run(|handle| async move {
        let full = Full::new(SocketType::SEQPACKET);
        check_waits(&handle, &full, UnixSeqpacket::connect(&full.addr)).await;
        let full = Full::new(SocketType::SEQPACKET);
        check_waits(&handle, &full, aio::UnixSeqpacket::connect(full.path())).await;
    });
}

#[test]
fn a_green_connect_to_a_full_unix_listener_waits_for_room() {
    green::run(|| {
        let full = Rc::new(Full::new(SocketType::STREAM));
        let is_connected = Rc::new(Cell::new(false));
        let (there, tell) = (Rc::clone(&full), Rc::clone(&is_connected));
        let client = green::spawn(move || {
            let connected = green::net::UnixStream::connect(there.path());
            tell.set(true);
            connected.map(drop)
        });
        green::sleep(A_WHILE);
        assert!(!is_connected.get(), "the backlog was full");
        full.accept();
        client.join().unwrap().unwrap();
    })
    .unwrap();
}

#[test]
fn a_callback_connect_to_a_full_unix_listener_waits_for_room() {
    let full = Rc::new(Full::new(SocketType::STREAM));
    let events = Rc::new(RefCell::new(Vec::new()));
    let (there, log) = (Rc::clone(&full), Rc::clone(&events));
    callback::run(move || {
        let socket = callback::net::connect(there.path())?;
        let connected = Rc::clone(&log);
        socket.on_connect(move |socket| {
            connected.borrow_mut().push("connect");
            socket.destroy();
        });
        let failed = Rc::clone(&log);
        socket.on_error(move |_, _| failed.borrow_mut().push("error"));
        callback::set_timeout(
            move || {
                log.borrow_mut().push("room");
                there.accept();
            },
            20.0,
        );
        Ok::<_, callback::net::Error>(())
    })
    .unwrap();
    assert_eq!(*events.borrow(), ["room", "connect"]);
}

#[test]
fn a_dropped_connect_to_a_full_unix_listener_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let full = Full::new(SocketType::STREAM);
    let connecting = event_loop.enter(|| Socket::connect(&full.addr)).unwrap();
    drop(event_loop.block_on(handle.timeout(A_WHILE, connecting)));
    let mut unreferenced = event_loop.enter(|| Socket::connect(&full.addr)).unwrap();
    unreferenced.set_referenced(false);
    drop(handle.spawn(unreferenced));
    event_loop.run().unwrap(); // it returns at once
}

/// A port on which no socket listens, and which `connect(2)` may choose: it chooses even ports of
/// its range, and `bind(2)` odd ones.
fn deserted() -> SocketAddr {
    let addrs = std::iter::repeat_with(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut addr = listener.local_addr().unwrap();
        addr.set_port(addr.port() & !1);
        addr
    });
    let is_free = |addr: &SocketAddr| std::net::TcpListener::bind(addr).is_ok();
    addrs
        .take(100)
        .find(is_free)
        .expect("one of 100 ports is free")
}

/// More attempts than ports: the kernel tries the ports one after the other.
const ATTEMPTS: usize = 40_000;

fn is_refused<T>(connected: &io::Result<T>) -> bool {
    let kind = connected.as_ref().map_err(io::Error::kind);
    kind.is_err_and(|kind| kind == io::ErrorKind::ConnectionRefused)
}

#[test]
fn a_connect_to_a_deserted_port_is_refused_even_when_the_kernel_chooses_that_port() {
    let target = deserted();
    if !(0..ATTEMPTS).any(|_| std::net::TcpStream::connect(target).is_ok()) {
        println!("skipped: this kernel never connects a socket to itself");
        return;
    }
    let target = deserted(); // another port, as TIME_WAIT keeps the first one from connecting to itself again
    run(|_| async move {
        for attempt in 0..ATTEMPTS {
            let connected = TcpStream::connect(target).await;
            assert!(is_refused(&connected), "attempt {attempt}: {connected:?}");
        }
    });
}

#[test]
fn a_socket_that_is_bound_to_its_target_is_refused() {
    for target in ["127.0.0.1:0", "[::1]:0", "127.0.0.7:0"] {
        let Ok(listener) = std::net::TcpListener::bind(target) else {
            println!("skipped: there is no {target}");
            continue;
        };
        let target = listener.local_addr().unwrap();
        drop(listener);
        run(|_| async move {
            let options = ConnectOptions {
                local_addr: Some(target),
                ..ConnectOptions::default()
            };
            let connected = TcpStream::connect_with(target, options).await;
            assert!(is_refused(&connected), "{connected:?}");
            let mut unconnected = Unconnected::to_reach(&target.into()).unwrap();
            unconnected.bind(&target.into()).unwrap();
            let any = SocketAddr::new(unspecified(&target), target.port()); // the unspecified address reaches this machine
            let connected = unconnected.connect(&any.into());
            let connected = match connected {
                Ok(connecting) => connecting.await,
                Err(error) => Err(error),
            };
            assert!(connected.is_err(), "{connected:?}");
            // The socket is closed, and its port is free.
            std::net::TcpListener::bind(target).unwrap();
        });
        callback_is_refused(target);
    }
}

fn unspecified(addr: &SocketAddr) -> std::net::IpAddr {
    match addr {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn callback_is_refused(target: SocketAddr) {
    let code = Rc::new(RefCell::new(String::new()));
    let reported = Rc::clone(&code);
    callback::run(move || {
        let socket = callback::net::Socket::new();
        socket.on_error(move |_, error| {
            *reported.borrow_mut() = error.code().unwrap_or_default().to_owned()
        });
        let options = callback::net::ConnectOptions {
            local_address: Some(target.ip()),
            local_port: target.port(),
            ..Default::default()
        };
        socket.connect_with(target, options).map(drop)
    })
    .unwrap();
    assert_eq!(*code.borrow(), "ECONNREFUSED");
}
