//! Accept loops and datagrams as streams.

use futures_util::StreamExt as _;
use oneloop::aio::{
    TcpListener, TcpStream, UdpSocket, UnixListener, UnixSeqpacket, UnixSeqpacketListener,
    UnixStream, block_on, timeout,
};
use oneloop_core::{EventLoop, Options};
use oneloop_net::Addr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn abstract_name(name: &str) -> Addr {
    Addr::UnixAbstract(format!("oneloop-{name}-{}", std::process::id()).into_bytes())
}

#[test]
fn listeners_of_each_family_have_a_stream_of_connections() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, peer) = listener.incoming().next().await.unwrap().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        server.write_all(b"hello").await.unwrap();

        let name = abstract_name("incoming");
        let listener = UnixListener::bind(&name).unwrap();
        let (mut incoming, mut clients) = (listener.incoming(), Vec::new());
        for _ in 0..3 {
            clients.push(UnixStream::connect(&name).await.unwrap());
            incoming.next().await.unwrap().unwrap();
        }

        let name = abstract_name("incoming-packets");
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        let _client = UnixSeqpacket::connect(&name).await.unwrap();
        assert!(listener.incoming().next().await.unwrap().is_ok());
    });
}

#[test]
fn a_stream_that_is_dropped_waits_no_longer_and_keeps_no_loop_alive() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let (listener, socket) = event_loop.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener, UdpSocket::bind("127.0.0.1:0").unwrap())
    });
    event_loop.block_on(async {
        let mut incoming = listener.incoming();
        assert!(timeout(MS, incoming.next()).await.is_err());
        let mut datagrams = socket.datagrams();
        assert!(timeout(MS, datagrams.next()).await.is_err());
    });
    assert!(!event_loop.is_alive());
}

#[test]
fn datagrams_come_whole_with_their_senders_and_an_empty_one_is_no_end() {
    block_on(async {
        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let large = vec![7; 60_000];
        for bytes in [&b"tea"[..], b"", &large] {
            a.send_to(bytes, b.local_addr().unwrap()).await.unwrap();
        }
        let datagrams: Vec<_> = b.datagrams().take(3).map(Result::unwrap).collect().await;
        let lengths: Vec<_> = datagrams.iter().map(|(bytes, _)| bytes.len()).collect();
        assert_eq!(lengths, [3, 0, 60_000]);
        assert!(
            datagrams
                .iter()
                .all(|(_, from)| *from == a.local_addr().unwrap())
        );
    });
}
