//! Unix sockets on the loop: both kinds of names, message boundaries, fds, and peer credentials.

use crate::harness::{MS, block_on, errno};
use oneloop::aio::{
    UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream, sleep, spawn,
    timeout, yield_now,
};
use oneloop::net::{Addr, FDS_MAX};
use oneloop::{Handle, net};
use rustix::io::{Errno, FdFlags, fcntl_getfd};
use std::future::{Future, poll_fn};
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

/// An unused abstract name.
fn abstract_name() -> Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Addr::UnixAbstract(format!("oneloop-{}-{number}", std::process::id()).into())
}

/// A name in a new directory, which the drop of the first value removes.
fn path_name() -> (tempfile::TempDir, Addr) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    (dir, Addr::UnixPath(path))
}

/// A name of the maximum length that unix(7) allows.
fn longest_path_name() -> (tempfile::TempDir, Addr) {
    let dir = tempfile::tempdir().unwrap();
    let missing = 108 - dir.path().as_os_str().len() - 1;
    let path = dir.path().join("x".repeat(missing));
    (dir, Addr::UnixPath(path))
}

/// Checks that the passed fd is the reading end of the pipe.
fn is_same_pipe(mut write: PipeWriter, passed: OwnedFd) {
    write.write_all(b"through the pipe").unwrap();
    drop(write);
    let mut text = String::new();
    PipeReader::from(passed).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through the pipe");
}

#[test]
fn streams_take_both_kinds_of_names() {
    block_on(async {
        let (_dir, path) = path_name();
        for name in [path, abstract_name()] {
            let listener = UnixListener::bind(&name).unwrap();
            let client = UnixStream::connect(&name).await.unwrap();
            let (server, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, Addr::UnixUnnamed);
            client.write_all(b"hello").await.unwrap();
            assert_eq!(&*server.read_chunk().await.unwrap().unwrap(), b"hello");
        }
    });
}

#[test]
fn datagrams_arrive_whole_with_their_senders_by_both_kinds_of_names() {
    block_on(async {
        let (_dir, path) = path_name();
        for name in [path, abstract_name()] {
            let server = UnixDatagram::bind(&name).unwrap();
            assert_eq!(server.local_addr().unwrap(), name);
            let client_name = abstract_name();
            let client = UnixDatagram::bind(&client_name).unwrap();
            let unnamed = UnixDatagram::unbound().unwrap();
            unnamed.send_to(b"", &name).await.unwrap();
            client.send_to(b"hello", &name).await.unwrap();
            let mut buf = [0; 16];
            let (empty, from) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!((empty.bytes, from), (0, Addr::UnixUnnamed));
            let (hello, from) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..hello.bytes], &from), (&b"hello"[..], &client_name));

            client.connect(&name).unwrap();
            assert_eq!(client.peer_addr().unwrap(), name);
            client.send(b"to the peer").await.unwrap();
            assert_eq!(server.recv(&mut buf).await.unwrap().bytes, 11);
            server.send_to(b"and back", from).await.unwrap();
            assert_eq!(client.recv(&mut buf).await.unwrap().bytes, 8);
        }
    });
}

#[test]
fn a_name_is_a_path_or_an_address() {
    block_on(async {
        let (dir, _) = path_name();
        let path: PathBuf = dir.path().join("by path");
        let server = UnixDatagram::bind(&path).unwrap();
        let text = path.to_str().unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"1", text).await.unwrap();
        client.send_to(b"2", path.as_path()).await.unwrap();
        client.send_to(b"3", Addr::UnixPath(path)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(server.recv(&mut [0; 4]).await.unwrap().bytes, 1);
        }
        let inet: Addr = "127.0.0.1:80".parse().unwrap();
        for failed in [
            UnixDatagram::bind(&inet).map(drop),
            client.connect(&inet),
            client.send_to(b"", &inet).await,
            UnixSeqpacketListener::bind(&inet).map(drop),
            UnixSeqpacket::connect(&inet).await.map(drop),
        ] {
            let error = failed.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    });
}

#[test]
fn a_truncated_datagram_is_marked_and_leaves_the_next_one_whole() {
    block_on(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        a.send(b"0123456789").await.unwrap();
        a.send(b"next").await.unwrap();
        let mut buf = [0; 4];
        let cut = b.recv(&mut buf).await.unwrap();
        assert!(cut.is_truncated());
        assert_eq!((cut.bytes, cut.sent_bytes, &buf), (4, 10, b"0123"));
        let next = b.recv_fds(&mut buf, 0).await.unwrap();
        assert!(!next.is_truncated());
        assert_eq!((next.bytes, &buf), (4, b"next"));
    });
}

#[test]
fn datagram_errors_are_those_of_the_kernel() {
    block_on(async {
        let (_dir, nowhere) = path_name();
        let socket = UnixDatagram::unbound().unwrap();
        let error = socket.send_to(b"", &nowhere).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::NOENT));
        drop(UnixDatagram::bind(&nowhere).unwrap());
        let error = socket.send_to(b"", &nowhere).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
        let error = UnixDatagram::bind(&nowhere).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ADDRINUSE));
        assert_eq!(
            errno(&socket.send(b"").await.unwrap_err()),
            Some(Errno::NOTCONN)
        );
        assert_eq!(
            errno(&socket.peer_addr().unwrap_err()),
            Some(Errno::NOTCONN)
        );
        let (a, _b) = UnixDatagram::pair().unwrap();
        let error = a.send(&vec![0; 8 << 20]).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::MSGSIZE));
    });
}

/// Sends until the receiver has no room, and returns the number of datagrams sent.
async fn fill(socket: &UnixDatagram, name: &Addr) -> usize {
    let mut sent = 0;
    while poll_fn(|cx| Poll::Ready(pin!(socket.send_to(b"full", name)).poll(cx).is_ready())).await {
        sent += 1;
        assert!(sent < 10_000, "the receiver always has room");
    }
    sent
}

/// A receiver that the first of two senders has filled, and the number of its datagrams.
async fn full_receiver() -> (Addr, UnixDatagram, usize, [UnixDatagram; 2]) {
    let name = abstract_name();
    let server = UnixDatagram::bind(&name).unwrap();
    let senders = [(); 2].map(|()| UnixDatagram::unbound().unwrap());
    let queued = fill(&senders[0], &name).await;
    (name, server, queued, senders)
}

#[test]
fn a_send_to_a_full_receiver_completes_when_there_is_room_whichever_socket_filled_it() {
    block_on(async {
        let (name, server, queued, [_a, b]) = full_receiver().await;
        // No datagram of `b` is queued, so the kernel reports no room to `b`.
        let gave_up = timeout(25 * MS, b.send_to(b"lost", &name)).await;
        assert!(gave_up.is_err());
        let late = spawn(async move { b.send_to(b"late", &name).await });
        let runs = Handle::current().stats().tasks_run;
        sleep(100 * MS).await;
        let runs = Handle::current().stats().tasks_run - runs;
        assert!(runs < 30, "it retries with pauses: {runs}");
        let mut buf = [0; 8];
        for _ in 0..queued {
            assert_eq!(server.recv(&mut buf).await.unwrap().bytes, 4);
            assert_eq!(&buf[..4], b"full");
        }
        late.await.unwrap().unwrap();
        assert_eq!(server.recv(&mut buf).await.unwrap().bytes, 4);
        assert_eq!(&buf[..4], b"late");
        timeout(MS, server.recv(&mut buf)).await.unwrap_err(); // a canceled send has sent nothing
    });
}

#[test]
fn a_connected_sender_is_woken_by_the_peers_receive() {
    block_on(async {
        let (name, server, queued, [_a, b]) = full_receiver().await;
        b.connect(&name).unwrap();
        let late = spawn(async move { b.send(b"late").await });
        yield_now().await;
        let before = Handle::current().now();
        for _ in 0..queued {
            server.recv(&mut [0; 8]).await.unwrap();
        }
        late.await.unwrap().unwrap();
        assert_eq!(server.recv(&mut [0; 8]).await.unwrap().bytes, 4);
        assert_eq!(
            Handle::current().now(),
            before,
            "the send waited for no timer"
        );
    });
}

#[test]
fn packets_keep_their_boundaries_and_an_empty_one_is_not_the_end() {
    block_on(async {
        let (_dir, path) = path_name();
        for name in [path, abstract_name()] {
            let listener = UnixSeqpacketListener::bind(&name).unwrap();
            let client = UnixSeqpacket::connect(&name).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            for text in ["one", "", "longer than the room", ""] {
                client.send(text.as_bytes()).await.unwrap();
            }
            drop(client);
            let mut buf = [0; 8];
            let mut seen = Vec::new();
            while let Some(message) = server.recv(&mut buf).await.unwrap() {
                let text = String::from_utf8_lossy(&buf[..message.bytes]).into_owned();
                seen.push((text, message.sent_bytes));
            }
            let seen: Vec<_> = seen
                .iter()
                .map(|(text, bytes)| (text.as_str(), *bytes))
                .collect();
            assert_eq!(seen, [("one", 3), ("", 0), ("longer t", 20), ("", 0)]);
            assert!(
                server.recv(&mut buf).await.unwrap().is_none(),
                "it stays the end"
            );
        }
    });
}

#[test]
fn the_end_of_packets_wakes_the_waiter_and_leaves_the_other_direction_open() {
    block_on(async {
        let (a, b) = UnixSeqpacket::pair().unwrap();
        let waiting = spawn(async move {
            let end = b.recv(&mut [0; 8]).await.unwrap();
            b.send(b"still here").await.unwrap();
            (end, b)
        });
        yield_now().await;
        a.shutdown(net::Shutdown::Write).unwrap();
        let (end, b) = waiting.await.unwrap();
        assert_eq!(end, None);
        assert_eq!(a.recv(&mut [0; 16]).await.unwrap().unwrap().bytes, 10);
        drop(a);
        assert_eq!(
            errno(&b.send(b"question").await.unwrap_err()),
            Some(Errno::PIPE)
        );
    });
}

#[test]
fn a_canceled_receive_has_received_nothing() {
    block_on(async {
        let (a, b) = UnixSeqpacket::pair().unwrap();
        for round in 0..50_u8 {
            let (read, _write) = pipe().unwrap();
            let mut buf = [0; 8];
            {
                // The message arrives between the wake of the receive and its drop.
                let mut receive = pin!(b.recv_fds(&mut buf, 1));
                assert!(poll_fn(|cx| Poll::Ready(receive.as_mut().poll(cx).is_pending())).await);
                a.send_fds(&[round], &[read.as_fd()]).await.unwrap();
                yield_now().await;
            }
            let message = b.recv_fds(&mut buf, 1).await.unwrap().unwrap();
            assert_eq!((message.fds.len(), buf[0]), (1, round));
        }
    });
}

#[test]
fn a_stream_listener_refuses_seqpacket_clients() {
    block_on(async {
        let (_dir, path) = path_name();
        let _listener = UnixListener::bind(&path).unwrap();
        let error = UnixSeqpacket::connect(&path).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::PROTOTYPE));
        // The kernel looks abstract names up by socket type.
        let name = abstract_name();
        let _listener = UnixListener::bind(&name).unwrap();
        let error = UnixSeqpacket::connect(&name).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
    });
}

#[test]
fn fds_on_a_stream_stay_with_their_bytes() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let (read, write) = pipe().unwrap();
        a.write_all(b"before").await.unwrap();
        assert_eq!(a.send_fds(b"with", &[read.as_fd()]).await.unwrap(), 4);
        drop(read);
        a.write_all(b"behind").await.unwrap();
        let mut buf = [0; 64];
        let mut text = Vec::new();
        let mut passed = Vec::new();
        while text.len() < 16 {
            let message = b.recv_fds(&mut buf, 4).await.unwrap();
            assert!(!message.is_truncated());
            if !message.fds.is_empty() {
                // unix(7): ancillary data is a barrier, so the read ends with the bytes of the fds.
                assert_eq!(text.len() + message.bytes, 10);
            }
            text.extend_from_slice(&buf[..message.bytes]);
            passed.extend(message.fds);
        }
        assert_eq!(text, b"beforewithbehind");
        assert_eq!(passed.len(), 1);
        let passed = passed.remove(0);
        assert!(fcntl_getfd(&passed).unwrap().contains(FdFlags::CLOEXEC));
        is_same_pipe(write, passed);
        drop(a);
        assert_eq!(b.recv_fds(&mut buf, 4).await.unwrap().bytes, 0);
    });
}

#[test]
fn fds_pass_with_datagrams_and_packets() {
    block_on(async {
        let name = abstract_name();
        let server = UnixDatagram::bind(&name).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        let (read, write) = pipe().unwrap();
        client
            .send_fds_to(b"", &[read.as_fd()], &name)
            .await
            .unwrap();
        drop(read);
        let mut message = server.recv_fds(&mut [0; 4], 1).await.unwrap();
        assert_eq!((message.bytes, message.from), (0, Addr::UnixUnnamed));
        is_same_pipe(write, message.fds.remove(0));

        let (a, b) = UnixSeqpacket::pair().unwrap();
        let (read, write) = pipe().unwrap();
        a.send_fds(b"", &[read.as_fd(), write.as_fd()])
            .await
            .unwrap();
        drop(read);
        let mut message = b
            .recv_fds(&mut [0; 4], 2)
            .await
            .unwrap()
            .expect("a message");
        assert_eq!((message.bytes, message.fds.len()), (0, 2));
        drop(message.fds.pop());
        is_same_pipe(write, message.fds.remove(0));
    });
}

#[test]
fn fds_that_cannot_be_passed_are_an_error_with_the_reason() {
    block_on(async {
        let (a, _b) = UnixStream::pair().unwrap();
        let (read, _write) = pipe().unwrap();
        let error = a.send_fds(b"", &[read.as_fd()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("send at least one byte"),
            "{error}"
        );
        let (a, b) = UnixDatagram::pair().unwrap();
        let fds = vec![read.as_fd(); FDS_MAX + 1];
        let error = a.send_fds(b"x", &fds).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        a.send_fds(b"x", &fds[1..]).await.unwrap();
        let message = b.recv_fds(&mut [0; 1], FDS_MAX).await.unwrap();
        assert_eq!(
            (message.fds.len(), message.is_short_of_fds),
            (FDS_MAX, false)
        );
    });
}

#[test]
fn a_connection_returns_the_peers_credentials() {
    block_on(async {
        let name = abstract_name();
        let listener = UnixListener::bind(&name).unwrap();
        let client = UnixStream::connect(&name).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (a, _b) = UnixSeqpacket::pair().unwrap();
        let (c, _d) = UnixDatagram::pair().unwrap();
        let own = (
            Some(std::process::id() as i32),
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        );
        for credentials in [
            client.peer_credentials().unwrap(),
            server.peer_credentials().unwrap(),
            a.peer_credentials().unwrap(),
            c.peer_credentials().unwrap(),
        ] {
            assert_eq!((credentials.pid, credentials.uid, credentials.gid), own);
        }
        let alone = UnixDatagram::unbound().unwrap();
        let error = alone.peer_credentials().unwrap_err();
        assert_eq!(errno(&error), Some(Errno::NOTCONN));
    });
}

#[test]
fn existing_sockets_can_be_put_on_the_loop() {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    block_on(async {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let a = net::UnixSeqpacket::from_fd(a).unwrap();
        let b = net::UnixSeqpacket::from_fd(b).unwrap();
        poll_fn(|cx| a.poll_send(cx, b"")).await.unwrap();
        drop(a);
        assert!(
            poll_fn(|cx| b.poll_recv(cx, &mut [0; 1]))
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            poll_fn(|cx| b.poll_recv(cx, &mut [0; 1]))
                .await
                .unwrap()
                .is_none()
        );
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
        let a = net::UnixDatagram::from_fd(a).unwrap();
        let b = net::UnixDatagram::from_fd(b).unwrap();
        poll_fn(|cx| a.poll_send(cx, b"one")).await.unwrap();
        assert_eq!(
            poll_fn(|cx| b.poll_recv(cx, &mut [0; 4]))
                .await
                .unwrap()
                .bytes,
            3
        );
    });
}

#[test]
fn names_of_the_maximum_length_are_returned_whole() {
    block_on(async {
        let (_dir, path) = longest_path_name();
        let abstract_name = Addr::UnixAbstract(vec![b'x'; 107]);
        for name in [path, abstract_name] {
            let how = net::ListenOptions::default();
            let listener = net::Listener::bind(&name, how).unwrap();
            assert_eq!(listener.local_addr().unwrap(), name);
            UnixStream::connect(&name).await.unwrap();
        }
        let (_dir, name) = longest_path_name();
        let (_other_dir, other_name) = path_name();
        let client = UnixDatagram::bind(&name).unwrap();
        let server = UnixDatagram::bind(&other_name).unwrap();
        client.send_to(b"hello", &other_name).await.unwrap();
        let buf = &mut [0; 8];
        let (_, from) = server.recv_from(buf).await.unwrap();
        assert_eq!(from, name);
        server.send_to(b"hello", &from).await.unwrap();
        client.recv_from(buf).await.unwrap();
    });
}
