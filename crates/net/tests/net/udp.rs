//! UDP datagrams arrive whole, in order and with their errors, and a canceled receive loses none.

use crate::harness::{MS, block_on, errno};
use oneloop::aio::{Outgoing, RecvBatch, UdpOptions, UdpSocket, sleep, spawn, timeout, yield_now};
use oneloop::core::Direction;
use oneloop::net::Interface;
use oneloop::{EventLoop, Handle, Options, net};
use rustix::io::Errno;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

fn bind() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// Two sockets that are connected to each other.
fn pair() -> (UdpSocket, UdpSocket) {
    let (a, b) = (bind(), bind());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    (a, b)
}

/// The address of a closed socket.
fn deserted() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

#[test]
fn datagrams_arrive_one_at_a_time_with_their_senders() {
    block_on(async {
        let (server, a, b) = (bind(), bind(), bind());
        let addr = server.local_addr().unwrap();
        let (a_addr, b_addr) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        for (client, text) in [(&a, "one"), (&b, ""), (&a, "three")] {
            client.send_to(text.as_bytes(), addr).await.unwrap();
        }
        // All three arrive before the first wait, which makes one edge (rule 4).
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
fn datagrams_pass_over_ipv6() {
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
fn a_truncated_datagram_is_marked_and_leaves_the_next_one_whole() {
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
fn a_refusal_is_returned_once_and_the_socket_stays_usable() {
    block_on(async {
        let (client, addr) = (bind(), deserted());
        client.connect(addr).unwrap();
        for _ in 0..3 {
            client.send(b"question").await.unwrap();
            let error = client.recv(&mut [0; 8]).await.unwrap_err();
            assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
            assert!(client.take_error().unwrap().is_none());
            // The error bit stays set, and the wait does not spin.
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
fn a_refusal_wakes_the_waiter_of_a_connected_socket_only() {
    block_on(async {
        let (client, addr) = (Rc::new(bind()), deserted());
        client.send_to(b"question", addr).await.unwrap();
        timeout(MS, client.recv(&mut [0; 8])).await.unwrap_err();

        client.connect(addr).unwrap();
        let receiver = Rc::clone(&client);
        let waiting = spawn(async move { receiver.recv(&mut [0; 8]).await });
        yield_now().await;
        client.send(b"question").await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
    });
}

#[test]
fn take_error_takes_the_refusal_before_the_operations() {
    block_on(async {
        let client = bind();
        client.connect(deserted()).unwrap();
        client.send(b"question").await.unwrap();
        poll_fn(|cx| client.source().poll_ready(cx, Direction::Read))
            .await
            .unwrap();
        let error = client.take_error().unwrap().expect("the peer refused");
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
        timeout(MS, client.recv(&mut [0; 8])).await.unwrap_err();
    });
}

#[test]
fn a_connected_socket_receives_only_from_its_peer() {
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
fn a_refused_send_returns_the_kernels_error() {
    block_on(async {
        let socket = bind();
        let addr = socket.local_addr().unwrap();
        let error = socket.send(b"no peer!").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::DESTADDRREQ));
        assert_eq!(
            errno(&socket.peer_addr().unwrap_err()),
            Some(Errno::NOTCONN)
        );
        let error = socket.send_to(&[0; 1 << 16], addr).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::MSGSIZE));
        let broadcast = "255.255.255.255:9".parse().unwrap();
        let error = socket.connect(broadcast).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ACCESS));
        socket.set_broadcast(true).unwrap();
        assert!(rustix::net::sockopt::socket_broadcast(&socket).unwrap());
        let taken = UdpSocket::bind(addr).unwrap_err();
        assert_eq!(errno(&taken), Some(Errno::ADDRINUSE));
    });
}

#[test]
fn a_canceled_receive_has_received_nothing() {
    block_on(async {
        let (a, b) = pair();
        for round in 0..50_u8 {
            let gave_up = timeout(MS, b.recv(&mut [0; 8])).await;
            assert!(gave_up.is_err());
            // The datagram arrives between the wake of the receive and its drop.
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
fn a_canceled_receive_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.handle().spawn(async {
        let (_a, b) = pair();
        timeout(MS, b.recv(&mut [0; 8])).await.unwrap_err();
        spawn(async move {
            let _keep = (_a, b);
            pending::<()>().await
        });
    });
    event_loop.run().unwrap(); // returns at once
}

#[test]
fn the_bytes_of_datagrams_count_in_the_io_budget() {
    block_on(async {
        let (a, _b) = pair();
        let sent = Rc::new(Cell::new(0_usize));
        let count = Rc::clone(&sent);
        // The clock is virtual, so only the byte budget can end the run.
        spawn(async move {
            while a.send(&[0; 1 << 12]).await.is_ok() {
                count.set(count.get() + 1);
            }
        });
        yield_now().await;
        assert_eq!(sent.get(), (128 << 10) / (1 << 12));
        let before = sent.get();
        sleep(Duration::ZERO).await;
        assert!(sent.get() > before, "the task continues in the next turn");
    });
}

#[test]
fn from_fd_keeps_the_options_of_a_socket() {
    block_on(async {
        let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        std.set_nonblocking(true).unwrap();
        let socket = net::UdpSocket::from_fd(std.into()).unwrap();
        let addr = socket.local_addr().unwrap();
        bind().send_to(b"hello", addr).await.unwrap();
        let mut buf = [0; 8];
        let receive = |cx: &mut Context<'_>| socket.poll_recv(cx, &mut buf);
        let received = socket.source().io(Direction::Read, receive).await;
        assert_eq!(received.unwrap().bytes, 5);
    });
}

/// Makes `count` numbered datagrams.
fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("datagram {n}").into_bytes())
        .collect()
}

#[test]
fn a_batch_moves_64_datagrams_at_once_with_their_senders() {
    block_on(async {
        let (a, b, server) = (bind(), bind(), bind());
        let to = server.local_addr().unwrap();
        let texts = numbered(64);
        let outgoing: Vec<_> = texts.iter().map(|text| Outgoing::to(to, text)).collect();
        assert_eq!(a.send_batch(&outgoing[..40]).await.unwrap(), 40);
        assert_eq!(b.send_batch(&outgoing[40..]).await.unwrap(), 24);
        let mut batch = RecvBatch::new(64, 32);
        assert_eq!(server.recv_batch(&mut batch).await.unwrap(), 64);
        for (n, received) in batch.iter().enumerate() {
            let sender = if n < 40 { &a } else { &b };
            assert_eq!(received.bytes, texts[n]);
            assert_eq!(received.from, sender.local_addr().unwrap());
            assert!(!received.datagram.is_truncated());
        }
        // The next receive replaces the contents of the batch.
        a.send_batch(&outgoing[..2]).await.unwrap();
        assert_eq!(server.recv_batch(&mut batch).await.unwrap(), 2);
        assert_eq!((batch.len(), batch.datagrams_max()), (2, 64));
        timeout(MS, server.recv_batch(&mut batch))
            .await
            .unwrap_err();
        assert!(batch.is_empty());
    });
}

/// Runs another test of this file under strace.
#[test]
fn a_batch_of_64_is_one_system_call_each_way() {
    let calls = tempfile::NamedTempFile::new().unwrap();
    let strace = Command::new("strace")
        .args([
            "-f",
            "-e",
            "trace=sendmmsg,recvmmsg,sendto,recvfrom,recvmsg,sendmsg",
            "-o",
        ])
        .arg(calls.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "udp::a_batch_moves_64_datagrams_at_once_with_their_senders",
        ])
        .output();
    match strace {
        Ok(output) if output.status.success() => {}
        other => return eprintln!("skipped: no strace here, or it may not trace: {other:?}"),
    }
    let text = std::fs::read_to_string(calls.path()).unwrap();
    let results: Vec<_> = text
        .lines()
        .filter_map(|line| Some((line.split_once('(')?.0, line.rsplit_once("= ")?.1)))
        .filter_map(|(call, result)| Some((call.split_whitespace().last()?, result)))
        .collect();
    let expected = [
        ("sendmmsg", "40"),
        ("sendmmsg", "24"),
        ("recvmmsg", "64"),
        ("sendmmsg", "2"),
        ("recvmmsg", "2"), // a short batch, so no further call follows
    ];
    assert_eq!(results, expected, "{text}");
}

#[test]
fn a_batch_marks_its_truncated_datagram() {
    block_on(async {
        let (a, b) = pair();
        for text in ["four", "longer than the room", "", "next"] {
            a.send(text.as_bytes()).await.unwrap();
        }
        let mut batch = RecvBatch::new(8, 4);
        assert_eq!(b.recv_batch(&mut batch).await.unwrap(), 4);
        let seen: Vec<_> = batch
            .iter()
            .map(|received| (received.bytes, received.datagram.sent_bytes))
            .collect();
        assert_eq!(
            seen,
            [(&b"four"[..], 4), (b"long", 20), (b"", 0), (b"next", 4)]
        );
        let cut: Vec<_> = batch
            .iter()
            .map(|received| received.datagram.is_truncated())
            .collect();
        assert_eq!(cut, [false, true, false, false]);
    });
}

#[test]
fn a_datagram_that_cannot_be_sent_ends_its_batch_and_is_the_error_of_the_next() {
    block_on(async {
        let (a, b) = pair();
        let too_long = vec![0; 1 << 16];
        let batch = [&b"one"[..], b"two", &too_long, b"four"].map(Outgoing::to_peer);
        let sent = a.send_batch(&batch).await.unwrap();
        assert_eq!(sent, 2);
        let error = a.send_batch(&batch[sent..]).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::MSGSIZE));
        assert_eq!(a.send_batch(&batch[sent + 1..]).await.unwrap(), 1);
        assert_eq!(a.send_batch(&[]).await.unwrap(), 0);
        let mut received = RecvBatch::new(8, 8);
        assert_eq!(b.recv_batch(&mut received).await.unwrap(), 3);
        let texts: Vec<_> = received.iter().map(|received| received.bytes).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b"four"]);
    });
}

#[test]
fn the_first_batch_after_a_refusal_returns_it() {
    block_on(async {
        let client = bind();
        client.connect(deserted()).unwrap();
        client.send(b"question").await.unwrap();
        let error = client
            .recv_batch(&mut RecvBatch::new(4, 4))
            .await
            .unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
        client.send(b"question").await.unwrap();
        let error = client
            .send_batch(&[Outgoing::to_peer(b"?")])
            .await
            .unwrap_err();
        assert_eq!(errno(&error), Some(Errno::CONNREFUSED));
    });
}

#[test]
fn a_canceled_batch_has_received_nothing() {
    block_on(async {
        let (a, b) = pair();
        let mut batch = RecvBatch::new(4, 8);
        for round in 0..50_u8 {
            {
                // The datagram arrives between the wake of the receive and its drop.
                let mut receive = pin!(b.recv_batch(&mut batch));
                assert!(poll_fn(|cx| Poll::Ready(receive.as_mut().poll(cx).is_pending())).await);
                a.send(&[round]).await.unwrap();
                yield_now().await;
            }
            assert_eq!(b.recv_batch(&mut batch).await.unwrap(), 1);
            assert_eq!(batch.iter().next().unwrap().bytes, [round]);
        }
    });
}

#[test]
fn a_flood_of_batches_does_not_starve_a_timer() {
    block_on(async {
        let (a, b) = pair();
        // Both sockets are always ready: only the I/O budget (rule 15) ends a run of this task.
        let flood = spawn(async move {
            let text = [0; 1024];
            let outgoing = [Outgoing::to_peer(&text); 32];
            let mut batch = RecvBatch::new(32, 1024);
            loop {
                a.send_batch(&outgoing).await.unwrap();
                b.recv_batch(&mut batch).await.unwrap();
            }
        });
        for _ in 0..10 {
            sleep(Duration::ZERO).await;
        }
        assert!(Handle::current().stats().io_budget_spent >= 10);
        flood.cancel();
    });
}

/// A pair of sockets with GSO and GRO; `None` on a kernel without them.
fn segmented_pair() -> Option<(UdpSocket, UdpSocket)> {
    let (a, b) = pair();
    for set in [a.set_gso(Some(100)), b.set_gro(true)] {
        if let Err(error) = set {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            eprintln!("skipped: {error}");
            return None;
        }
    }
    Some((a, b))
}

/// Receives until `bytes` bytes have arrived, and returns the datagrams that were sent.
async fn segments_of(socket: &UdpSocket, bytes: usize) -> Vec<Vec<u8>> {
    let mut batch = RecvBatch::new(8, 1 << 16);
    let mut segments: Vec<Vec<u8>> = Vec::new();
    while segments.iter().map(Vec::len).sum::<usize>() < bytes {
        socket.recv_batch(&mut batch).await.unwrap();
        for received in batch.iter() {
            segments.extend(received.segments().map(<[u8]>::to_vec));
        }
    }
    segments
}

#[test]
fn one_send_with_gso_makes_many_datagrams() {
    block_on(async {
        let Some((a, _)) = segmented_pair() else {
            return;
        };
        let plain = bind();
        let text: Vec<u8> = (0..250).collect();
        a.send_to(&text, plain.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 1500];
        for expected in text.chunks(100) {
            assert_eq!(plain.recv(&mut buf).await.unwrap().bytes, expected.len());
            assert_eq!(&buf[..expected.len()], expected);
        }
        a.set_gso(None).unwrap();
        a.send_to(&text, plain.local_addr().unwrap()).await.unwrap();
        assert_eq!(plain.recv(&mut buf).await.unwrap().bytes, 250);
    });
}

#[test]
fn datagrams_that_gro_joined_are_separated() {
    block_on(async {
        let Some((a, b)) = segmented_pair() else {
            return;
        };
        let text: Vec<u8> = (0..250).collect();
        // In a batch and in a single receive: on loopback a GSO send stays joined.
        a.send_batch(&[Outgoing::to_peer(&text); 2]).await.unwrap();
        let segments = segments_of(&b, 500).await;
        let expected: Vec<_> = text.chunks(100).chain(text.chunks(100)).collect();
        assert_eq!(segments, expected);

        a.send(&text).await.unwrap();
        let mut buf = vec![0; 1 << 16];
        let joined = b.recv(&mut buf).await.unwrap();
        assert_eq!((joined.bytes, joined.segment_bytes), (250, Some(100)));
        let segments: Vec<_> = joined.segments(&buf).collect();
        assert_eq!(segments, text.chunks(100).collect::<Vec<_>>());

        a.send(b"short").await.unwrap();
        let (short, from) = b.recv_from(&mut buf).await.unwrap();
        assert_eq!((short.bytes, short.segment_bytes), (5, None));
        assert_eq!(from, a.local_addr().unwrap());
    });
}

#[test]
fn a_truncated_joined_datagram_is_marked() {
    block_on(async {
        let Some((a, b)) = segmented_pair() else {
            return;
        };
        a.send(&[7; 250]).await.unwrap();
        let cut = b.recv(&mut [0; 120]).await.unwrap();
        assert!(cut.is_truncated());
        assert_eq!((cut.bytes, cut.sent_bytes), (120, 250));
    });
}

#[test]
fn other_ancillary_data_does_not_disturb_datagrams() {
    block_on(async {
        let (a, b) = pair();
        rustix::net::sockopt::set_ip_recvtos(&b, true).unwrap();
        let mut batch = RecvBatch::new(4, 1 << 16);
        a.send(b"plain").await.unwrap();
        assert_eq!(b.recv_batch(&mut batch).await.unwrap(), 1);
        assert_eq!(batch.iter().next().unwrap().bytes, b"plain");
        if a.set_gso(Some(100)).and_then(|()| b.set_gro(true)).is_err() {
            return eprintln!("skipped: this kernel has no GSO or GRO");
        }
        a.send(&[7; 250]).await.unwrap();
        assert_eq!(segments_of(&b, 250).await.len(), 3);
    });
}

#[test]
fn a_socket_is_bound_with_its_options() {
    block_on(async {
        let options = UdpOptions {
            reuse_port: true,
            broadcast: true,
            recv_buffer_bytes: Some(64 << 10),
            send_buffer_bytes: Some(32 << 10),
            ..UdpOptions::default()
        };
        let first = UdpSocket::bind_with("127.0.0.1:0", options).unwrap();
        let again = UdpSocket::bind_with(first.local_addr().unwrap(), options).unwrap();
        assert_eq!(again.local_addr().unwrap(), first.local_addr().unwrap());
        // socket(7): the kernel doubles the value.
        assert_eq!(first.recv_buffer_bytes().unwrap(), 128 << 10);
        assert_eq!(first.send_buffer_bytes().unwrap(), 64 << 10);
        assert!(rustix::net::sockopt::socket_broadcast(&first).unwrap());
        first.set_recv_buffer_bytes(16 << 10).unwrap();
        assert_eq!(first.recv_buffer_bytes().unwrap(), 32 << 10);
        let error = UdpSocket::bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ADDRINUSE));
    });
}

#[test]
fn a_broadcast_needs_permission() {
    block_on(async {
        let socket = bind();
        let broadcast = "127.255.255.255:9".parse().unwrap(); // the broadcast address of loopback
        let error = socket.send_to(b"hello", broadcast).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ACCESS));
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = server.local_addr().unwrap().port();
        socket.set_broadcast(true).unwrap();
        let broadcast = SocketAddr::from(([127, 255, 255, 255], port));
        if let Err(error) = socket.send_to(b"hello", broadcast).await {
            return eprintln!("skipped: this machine has no broadcast on loopback: {error}");
        }
        assert_eq!(server.recv(&mut [0; 8]).await.unwrap().bytes, 5);
    });
}

#[test]
fn ttl_and_tos_use_the_options_of_the_sockets_family() {
    use rustix::net::sockopt::{ip_tos, ip_ttl, ipv6_tclass, ipv6_unicast_hops};
    block_on(async {
        let v4 = bind();
        v4.set_ttl(7).unwrap();
        v4.set_tos(0x28).unwrap();
        assert_eq!((ip_ttl(&v4).unwrap(), ip_tos(&v4).unwrap()), (7, 0x28));
        assert_eq!(errno(&v4.set_ttl(256).unwrap_err()), Some(Errno::INVAL));
        let Ok(v6) = UdpSocket::bind("[::1]:0") else {
            return eprintln!("skipped: this machine has no IPv6");
        };
        v6.set_ttl(9).unwrap();
        v6.set_tos(0x10).unwrap();
        assert_eq!(ipv6_unicast_hops(&v6).unwrap(), 9);
        assert_eq!(ipv6_tclass(&v6).unwrap(), 0x10);
        assert_eq!(errno(&v6.set_ttl(256).unwrap_err()), Some(Errno::INVAL));
    });
}

/// Whether a member of a group receives on loopback; an error where there is no such route.
async fn receives_group(
    bound: &str,
    group: IpAddr,
    on: Interface,
    sends_from: &str,
) -> io::Result<()> {
    let member = UdpSocket::bind(bound)?;
    member.join_multicast(group, on)?;
    let again = member.join_multicast(group, on).unwrap_err();
    assert_eq!(errno(&again), Some(Errno::ADDRINUSE));
    let sender = UdpSocket::bind(sends_from)?;
    sender.set_multicast_interface(on)?;
    sender.set_multicast_ttl(0)?; // the datagram does not leave this machine
    let to = SocketAddr::new(group, member.local_addr()?.port());
    sender.send_to(b"to all", to).await?;
    let mut buf = [0; 16];
    let (datagram, _) = member.recv_from(&mut buf).await?;
    assert_eq!(&buf[..datagram.bytes], b"to all");

    member.leave_multicast(group, on)?;
    sender.send_to(b"to no_group", to).await?;
    timeout(MS, member.recv(&mut buf)).await.unwrap_err();
    let gone = member.leave_multicast(group, on).unwrap_err();
    assert_eq!(errno(&gone), Some(Errno::ADDRNOTAVAIL));
    Ok(())
}

#[test]
fn a_member_of_a_group_receives_until_it_leaves() {
    block_on(async {
        let group = Ipv4Addr::new(239, 255, 66, 1).into();
        for on in [Interface::Addr(Ipv4Addr::LOCALHOST), Interface::Index(1)] {
            if let Err(error) = receives_group("0.0.0.0:0", group, on, "127.0.0.1:0").await {
                eprintln!("skipped: this machine has no multicast by {on:?}: {error}");
            }
        }
    });
}

#[test]
fn a_member_of_an_ipv6_group_receives_until_it_leaves() {
    block_on(async {
        let group: Ipv6Addr = "ff01::6601".parse().unwrap(); // scope 1: this machine only
        if let Err(error) =
            receives_group("[::]:0", group.into(), Interface::Index(1), "[::]:0").await
        {
            eprintln!("skipped: this machine has no multicast of IPv6: {error}");
        }
    });
}

#[test]
fn a_wrong_group_or_interface_is_an_error_that_names_it() {
    block_on(async {
        let socket = bind();
        let no_group = Ipv4Addr::LOCALHOST.into();
        let error = socket.join_multicast(no_group, Interface::Any).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::INVAL));
        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1).into();
        let by_addr = Interface::Addr(Ipv4Addr::LOCALHOST);
        let error = socket.join_multicast(group, by_addr).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("by its index"), "{error}");
    });
}

#[test]
fn multicast_loops_back_unless_it_is_switched_off() {
    use rustix::net::sockopt::{ip_multicast_loop, ipv6_multicast_loop};
    block_on(async {
        // The loopback interface delivers in any case, so this reads the option back.
        let v4 = bind();
        assert!(ip_multicast_loop(&v4).unwrap());
        v4.set_multicast_loop(false).unwrap();
        assert!(!ip_multicast_loop(&v4).unwrap());
        let Ok(v6) = UdpSocket::bind("[::1]:0") else {
            return eprintln!("skipped: this machine has no IPv6");
        };
        v6.set_multicast_loop(false).unwrap();
        assert!(!ipv6_multicast_loop(&v6).unwrap());
    });
}

#[test]
fn a_disconnected_socket_has_no_peer() {
    block_on(async {
        let ((a, _b), stranger) = (pair(), bind());
        a.disconnect().unwrap();
        assert_eq!(errno(&a.peer_addr().unwrap_err()), Some(Errno::NOTCONN));
        let error = a.send(b"no peer!").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::DESTADDRREQ));
        a.send_to(b"hello", stranger.local_addr().unwrap())
            .await
            .unwrap();
        let (_, from) = stranger.recv_from(&mut [0; 8]).await.unwrap();
        stranger.send_to(b"you, too", from).await.unwrap();
        assert_eq!(a.recv(&mut [0; 8]).await.unwrap().bytes, 8);
    });
}
