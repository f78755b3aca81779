//! The keepalive options of TCP sockets, in each style.

use oneloop::net::{
    ByteStream, ConnectOptions, Keepalive, ListenOptions, TcpListener, TcpStream, UnixStream,
};
use oneloop::{EventLoop, Handle, aio, callback, green};
use rustix::net::sockopt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

fn run<F: Future>(make: impl FnOnce(Handle) -> F) -> F::Output {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(make(handle))
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// The idle time, interval and count, `None` without probes; and the timeout of output in
/// milliseconds.
fn settings(socket: impl AsFd) -> (Option<(Duration, Duration, u32)>, u32) {
    let is_on = sockopt::socket_keepalive(&socket).unwrap();
    let probes = is_on.then(|| {
        (
            sockopt::tcp_keepidle(&socket).unwrap(),
            sockopt::tcp_keepintvl(&socket).unwrap(),
            sockopt::tcp_keepcnt(&socket).unwrap(),
        )
    });
    (probes, sockopt::tcp_user_timeout(&socket).unwrap())
}

#[test]
fn accepted_connections_inherit_the_listeners_options() {
    run(|_| async move {
        for (nodelay, keepalive, has) in [
            (true, None, (None, 0)),
            (
                false,
                Some(Keepalive::new(7 * S, 2 * S, 3)),
                (Some((7 * S, 2 * S, 3)), 13_000),
            ),
            (
                true,
                Some(Keepalive::default()),
                (Some((60 * S, 10 * S, 6)), 120_000),
            ),
        ] {
            let options = ListenOptions {
                nodelay,
                keepalive,
                ..ListenOptions::default()
            };
            let listener = TcpListener::bind_with(any(), options).unwrap();
            let addr = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(addr).unwrap();
            let (socket, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            assert_eq!(settings(socket.socket()), has);
            assert_eq!(sockopt::tcp_nodelay(socket.socket()).unwrap(), nodelay);
        }
    });
}

#[test]
fn a_connect_sets_its_options_and_they_can_be_changed() {
    run(|_| async move {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        let addr = listener.local_addr().unwrap();
        let options = ConnectOptions {
            keepalive: Some(Keepalive::new(9 * S, S, 2)),
            ..ConnectOptions::default()
        };
        for addrs in [vec![addr], vec![addr, addr]] {
            let stream = TcpStream::connect_with(addrs, options).await.unwrap();
            assert_eq!(settings(stream.socket()), (Some((9 * S, S, 2)), 11_000));
            stream.set_keepalive(Some(Keepalive::default())).unwrap();
            assert_eq!(
                settings(stream.socket()),
                (Some((60 * S, 10 * S, 6)), 120_000)
            );
            stream.set_keepalive(None).unwrap();
            assert_eq!(settings(stream.socket()), (None, 0));
        }
    });
}

#[test]
fn values_that_the_kernel_refuses_are_errors() {
    run(|_| async move {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        let addr = listener.local_addr().unwrap();
        let stream = TcpStream::connect(addr).await.unwrap();
        for wrong in [
            Keepalive::new(Duration::MAX, S, 1),
            Keepalive::new(S, 40_000 * S, 1),
            Keepalive::new(S, S, u32::MAX),
        ] {
            assert!(stream.set_keepalive(Some(wrong)).is_err(), "{wrong:?}");
        }
        let (unix, _peer) = UnixStream::pair().unwrap();
        assert!(
            unix.socket()
                .set_keepalive(Some(Keepalive::default()))
                .is_err()
        );
    });
}

#[test]
fn every_style_sets_keepalive() {
    let expected = (Some((5 * S, 2 * S, 4)), 13_000);
    let keepalive = Some(Keepalive::new(5 * S, 2 * S, 4));
    let listen = ListenOptions {
        keepalive,
        ..ListenOptions::default()
    };
    let connect = ConnectOptions {
        keepalive,
        ..ConnectOptions::default()
    };
    aio::block_on(async move {
        let listener = aio::TcpListener::bind_with(any(), listen).unwrap();
        let addr = listener.local_addr().unwrap();
        let client = aio::TcpStream::connect_with(addr, connect).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(settings(client.socket()), expected);
        assert_eq!(settings(server.socket()), expected);
        server.set_keepalive(None).unwrap();
        assert_eq!(settings(server.socket()), (None, 0));
    });
    green::run(move || {
        let listener = green::net::TcpListener::bind_with(any(), listen).unwrap();
        let client =
            green::net::TcpStream::connect_with(listener.local_addr().unwrap(), connect).unwrap();
        let (server, _) = listener.accept().unwrap();
        // A green socket has no public fd, so the test only shows that the call succeeds.
        server.set_keepalive(keepalive).unwrap();
        client.set_keepalive(None).unwrap();
    })
    .unwrap();
    callback::run(|| {
        let server = callback::net::create_server(|socket| {
            socket.set_keep_alive(Some(5 * S));
            socket.end();
        });
        server.listen(("127.0.0.1", 0))?.on_listening(|server| {
            let client = callback::net::connect(("127.0.0.1", server.port().unwrap()))?;
            client.set_keep_alive(None).resume();
            server.close();
            Ok::<_, callback::net::Error>(())
        });
        Ok::<_, callback::net::Error>(())
    })
    .unwrap();
}
