//! Datagrams on the loop: whole, in order, with their errors, and none lost by giving up.

use oneloop::aio::{UdpSocket, sleep, spawn, timeout, yield_now};
use oneloop::{Direction, EventLoop, Handle, Options, net};
use rustix::io::Errno;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    EventLoop::with(Options::virtual_time())
        .unwrap()
        .block_on(future)
}

fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// Two sockets, connected to each other.
fn pair() -> (UdpSocket, UdpSocket) {
    let (a, b) = (bind(), bind());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    (a, b)
}

/// An address where nobody listens any more.
fn deserted() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

#[test]
fn datagrams_come_one_by_one_with_their_senders() {
    block_on(async {
        let (server, a, b) = (bind(), bind(), bind());
        let addr = server.local_addr().unwrap();
        let (a_addr, b_addr) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        for (client, text) in [(&a, "one"), (&b, ""), (&a, "three")] {
            client.send_to(text.as_bytes(), addr).await.unwrap();
        }
        // All three are there before the first wait, which is one edge (rule 4).
        let mut buf = [0; 64];
        for (text, sender) in [("one", a_addr), ("", b_addr), ("three", a_addr)] {
            let (datagram, from) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!(&buf[..datagram.bytes], text.as_bytes());
            assert!(!datagram.is_truncated());
            assert_eq!(from, sender);
        }
    });
}

#[test]
fn ipv6_is_the_same() {
    block_on(async {
        let Ok(server) = UdpSocket::bind("[::1]:0") else {
            return eprintln!("skipped: this machine has no IPv6");
        };
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        client.send(b"six").await.unwrap();
        let (datagram, from) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!((datagram.bytes, from), (3, client.local_addr().unwrap()));
    });
}

#[test]
fn a_datagram_longer_than_the_buffer_says_so_and_leaves_the_next_one_whole() {
    block_on(async {
        let (a, b) = pair();
        a.send(b"0123456789").await.unwrap();
        a.send(b"abcd").await.unwrap();
        a.send(b"ABCDE").await.unwrap();
        let mut buf = [0; 4];
        let cut = b.recv(&mut buf).await.unwrap();
        assert!(cut.is_truncated());
        assert_eq!((cut.bytes, cut.sent_bytes, &buf), (4, 10, b"0123"));
        let fits = b.recv(&mut buf).await.unwrap();
        assert!(!fits.is_truncated());
        assert_eq!((fits.bytes, fits.sent_bytes, &buf), (4, 4, b"abcd"));
        let (cut, _) = b.recv_from(&mut buf).await.unwrap();
        assert!(cut.is_truncated());
        assert_eq!((cut.bytes, cut.sent_bytes, &buf), (4, 5, b"ABCD"));
    });
}

#[test]
fn a_refusal_is_told_once_and_the_socket_goes_on() {
    block_on(async {
        let (client, addr) = (bind(), deserted());
        client.connect(addr).unwrap();
        for _ in 0..3 {
            client.send(b"anybody?").await.unwrap();
            let error = client.recv(&mut [0; 8]).await.unwrap_err();
            assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
            assert!(client.take_error().unwrap().is_none());
            // The error bit stays, but does not make the wait a busy one.
            timeout(MS, client.recv(&mut [0; 8])).await.unwrap_err();
        }
        let late = UdpSocket::bind(addr).unwrap();
        client.send(b"now").await.unwrap();
        let (_, from) = late.recv_from(&mut [0; 8]).await.unwrap();
        late.send_to(b"yes", from).await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap().bytes, 3);
    });
}

#[test]
fn a_refusal_wakes_who_waits_and_a_socket_without_a_peer_hears_none() {
    block_on(async {
        let (client, addr) = (Rc::new(bind()), deserted());
        client.send_to(b"anybody?", addr).await.unwrap();
        timeout(MS, client.recv(&mut [0; 8])).await.unwrap_err();

        client.connect(addr).unwrap();
        let receiver = Rc::clone(&client);
        let waiting = spawn(async move { receiver.recv(&mut [0; 8]).await });
        yield_now().await;
        client.send(b"anybody?").await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
    });
}

#[test]
fn take_error_takes_the_refusal_away_from_the_operations() {
    block_on(async {
        let client = bind();
        client.connect(deserted()).unwrap();
        client.send(b"anybody?").await.unwrap();
        poll_fn(|cx| client.source().poll_ready(cx, Direction::Read))
            .await
            .unwrap();
        let error = client.take_error().unwrap().expect("it was refused");
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
        timeout(MS, client.recv(&mut [0; 8])).await.unwrap_err();
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    block_on(async {
        let (a, b) = pair();
        let stranger = bind();
        let addr = b.local_addr().unwrap();
        stranger.send_to(b"stranger", addr).await.unwrap();
        a.send(b"peer").await.unwrap();
        let (datagram, from) = b.recv_from(&mut [0; 64]).await.unwrap();
        assert_eq!((datagram.bytes, from), (4, a.local_addr().unwrap()));
        b.connect(stranger.local_addr().unwrap()).unwrap();
        b.send(b"hello").await.unwrap();
        assert_eq!(stranger.recv(&mut [0; 64]).await.unwrap().bytes, 5);
    });
}

#[test]
fn what_cannot_be_sent_is_the_kernels_error() {
    block_on(async {
        let socket = bind();
        let addr = socket.local_addr().unwrap();
        let error = socket.send(b"to whom?").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::DESTADDRREQ));
        assert_eq!(
            errno(&socket.peer_addr().unwrap_err()),
            Some(Errno::NOTCONN)
        );
        let error = socket.send_to(&[0; 1 << 16], addr).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::MSGSIZE));
        let everybody = "255.255.255.255:9".parse().unwrap();
        let error = socket.connect(everybody).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ACCESS));
        socket.set_broadcast(true).unwrap();
        assert!(rustix::net::sockopt::socket_broadcast(&*socket).unwrap());
        let taken = UdpSocket::bind(addr).unwrap_err();
        assert_eq!(errno(&taken), Some(Errno::ADDRINUSE));
    });
}

#[test]
fn a_receive_that_gives_up_has_received_nothing() {
    block_on(async {
        let (a, b) = pair();
        for round in 0..50_u8 {
            let gave_up = timeout(MS, b.recv(&mut [0; 8])).await;
            assert!(gave_up.is_err());
            // The datagram comes between the wake of the receive and its drop.
            let mut buf = [0; 8];
            {
                let mut receive = pin!(b.recv(&mut buf));
                assert!(poll_fn(|cx| Poll::Ready(receive.as_mut().poll(cx).is_pending())).await);
                a.send(&[round]).await.unwrap();
                yield_now().await;
            }
            assert_eq!(b.recv(&mut buf).await.unwrap().bytes, 1);
            assert_eq!(buf[0], round);
        }
    });
}

#[test]
fn a_receive_that_gave_up_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.handle().spawn(async {
        let (_a, b) = pair();
        timeout(MS, b.recv(&mut [0; 8])).await.unwrap_err();
        spawn(async move {
            let _keep = (_a, b);
            pending::<()>().await
        });
    });
    event_loop.run().unwrap(); // would wait for ever
}

#[test]
fn the_bytes_of_datagrams_count_in_the_share_of_io() {
    block_on(async {
        let (a, _b) = pair();
        let sent = Rc::new(Cell::new(0_usize));
        let count = Rc::clone(&sent);
        // The clock is virtual, so only bytes can end its run.
        spawn(async move {
            while a.send(&[0; 1 << 12]).await.is_ok() {
                count.set(count.get() + 1);
            }
        });
        yield_now().await;
        assert_eq!(sent.get(), (128 << 10) / (1 << 12));
        let before = sent.get();
        sleep(Duration::ZERO).await;
        assert!(sent.get() > before, "it goes on by itself");
    });
}

#[test]
fn a_socket_with_options_of_its_own_can_be_taken_over() {
    block_on(async {
        let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        std.set_nonblocking(true).unwrap();
        let socket = net::UdpSocket::from_fd(&Handle::current(), std.into()).unwrap();
        let addr = socket.local_addr().unwrap();
        bind().send_to(b"hello", addr).await.unwrap();
        let mut buf = [0; 8];
        let receive = |cx: &mut Context<'_>| socket.poll_recv(cx, &mut buf);
        let received = socket.source().io(Direction::Read, receive).await;
        assert_eq!(received.unwrap().bytes, 5);
    });
}
