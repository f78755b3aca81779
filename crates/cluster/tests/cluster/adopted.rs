//! Sockets that another process has opened.

use crate::harness::{expect_echo, pair};
use oneloop::cluster::{ClusterListener, Connection};
use oneloop::net::{ByteStream, ListenOptions};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Sockets that share a port, as a program with several loops opens them.
fn sharing_a_port(count: usize) -> (Vec<OwnedFd>, SocketAddr) {
    let mut addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = |_| {
        let (family, kind) = (
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
        );
        let fd = rustix::net::socket(family, kind, None).unwrap();
        sockopt::set_socket_reuseport(&fd, true).unwrap();
        rustix::net::bind(&fd, &addr).unwrap();
        rustix::net::listen(&fd, 128).unwrap();
        addr = rustix::net::getsockname(&fd).unwrap().try_into().unwrap();
        fd
    };
    let fds = (0..count).map(listen).collect();
    (fds, addr)
}

async fn accepted(listener: &ClusterListener) -> Connection {
    listener
        .accept()
        .await
        .unwrap()
        .expect("the cluster does not stop")
}

async fn echo_once(connection: &Connection) {
    let chunk = connection
        .read_chunk()
        .await
        .unwrap()
        .expect("the client has sent a byte");
    connection.write_all(&chunk).await.unwrap();
}

fn sends_at_once(connection: &Connection) -> bool {
    sockopt::tcp_nodelay(connection.socket()).unwrap()
}

#[test]
fn each_loop_accepts_from_its_own_socket() {
    let [(mut first, one), (mut second, two)] = pair();
    let (fds, addr) = sharing_a_port(2);
    let own = one.share_fds(fds, ListenOptions::default()).unwrap();
    let other = two.listen_shared(own.shared()).unwrap();
    assert_eq!(own.local_addr().inet(), Some(addr));
    // The kernel's hash decides which of them gets a client: with 64 of them, both do.
    let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut served = [0, 0];
    for (index, (event_loop, listener)) in [(&mut first, &own), (&mut second, &other)]
        .into_iter()
        .enumerate()
    {
        event_loop.block_on(async {
            let brief = Duration::from_millis(50);
            while let Ok(connection) = oneloop::aio::timeout(brief, accepted(listener)).await {
                assert!(sends_at_once(&connection));
                served[index] += 1;
            }
        });
    }
    drop(clients);
    assert!(served[0] > 0 && served[1] > 0, "{served:?}");
}

#[test]
fn loops_without_a_socket_of_their_own_share_one_and_leave_it_to_others() {
    let [(mut first, one), (mut second, two)] = pair();
    let inherited = TcpListener::bind("127.0.0.1:0").unwrap(); // blocking, as a service manager's
    let addr = inherited.local_addr().unwrap();
    let fd = inherited.try_clone().unwrap().into();
    let own = one.share_fds(vec![fd], ListenOptions::default()).unwrap();
    let other = two.listen_shared(own.shared()).unwrap();
    for (event_loop, listener) in [(&mut first, &own), (&mut second, &other)] {
        let client = TcpStream::connect(addr).unwrap();
        let echoing = std::thread::spawn(move || expect_echo(client));
        event_loop.block_on(async { echo_once(&accepted(listener).await).await });
        echoing.join().unwrap();
    }
    for listener in [own, other] {
        listener.close();
        listener.leave();
    }
    // The socket is open in the process that opened it, and takes clients.
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"x").unwrap();
    inherited.set_nonblocking(false).unwrap();
    let (mut accepted, _) = inherited.accept().unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    first.run().unwrap();
    second.run().unwrap();
}

#[test]
fn a_loop_that_has_left_a_socket_is_not_woken_by_it() -> io::Result<()> {
    let [(mut first, one), _] = pair();
    let inherited = TcpListener::bind("127.0.0.1:0")?;
    let fd = inherited.try_clone()?.into();
    let own = one.share_fds(vec![fd], ListenOptions::default())?;
    own.close();
    own.leave();
    let _client = TcpStream::connect(inherited.local_addr()?)?;
    let handle = first.handle();
    first.block_on(async {
        let events = handle.stats().events;
        handle.sleep(Duration::from_millis(20)).await;
        assert_eq!(handle.stats().events, events);
    });
    Ok(())
}
