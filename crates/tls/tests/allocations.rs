//! The way between rustls and a stream allocates nothing per read or write.

use allocation_counter::measure;
use oneloop::EventLoop;
use oneloop::aio::UnixStream;
use oneloop::tls::rustls::{ClientConnection, ServerConnection};
use oneloop::tls::{
    ClientOptions, Identity, Roots, ServerOptions, TlsAcceptor, TlsConnector, TlsStream,
};
use std::io::{Read, Write};
use std::sync::Arc;

const ROUNDS: u64 = 1000;
const TEXT: &[u8] = &[7; 1000];

fn ends() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let identity = Identity::from_pem(&certificate, made.signing_key.serialize_pem()).unwrap();
    let roots = Roots::from_pem(&certificate).unwrap();
    (
        TlsConnector::new(roots, ClientOptions::default()).unwrap(),
        TlsAcceptor::new([identity], ServerOptions::default()).unwrap(),
    )
}

/// Moves what one end has to send to the other one.
fn pump(from: &mut impl FnMut(&mut Vec<u8>), to: &mut impl FnMut(&mut &[u8]), wire: &mut Vec<u8>) {
    wire.clear();
    from(wire);
    to(&mut wire.as_slice());
}

/// The allocations of rustls alone, for messages there and back.
fn of_rustls(connector: &TlsConnector, acceptor: &TlsAcceptor) -> u64 {
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(connector.config()), name).unwrap();
    let mut server = ServerConnection::new(acceptor.config()).unwrap();
    let mut wire = Vec::with_capacity(1 << 16);
    macro_rules! moved {
        ($from:ident, $to:ident) => {
            pump(
                &mut |wire| {
                    while $from.wants_write() {
                        $from.write_tls(wire).unwrap();
                    }
                },
                &mut |wire| {
                    while !wire.is_empty() {
                        $to.read_tls(wire).unwrap();
                        $to.process_new_packets().unwrap();
                    }
                },
                &mut wire,
            )
        };
    }
    while client.is_handshaking() || server.is_handshaking() {
        moved!(client, server);
        moved!(server, client);
    }
    let mut buf = [0; 2000];
    let mut rounds = |count: u64| {
        for _ in 0..count {
            client.writer().write_all(TEXT).unwrap();
            moved!(client, server);
            let read = server.reader().read(&mut buf).unwrap();
            server.writer().write_all(&buf[..read]).unwrap();
            moved!(server, client);
            assert_eq!(client.reader().read(&mut buf).unwrap(), TEXT.len());
        }
    };
    rounds(10);
    measure(|| rounds(ROUNDS)).count_total
}

async fn rounds(client: &TlsStream<UnixStream>, server: &TlsStream<UnixStream>, count: u64) {
    let mut buf = [0; 2000];
    for _ in 0..count {
        client.write_all(TEXT).await.unwrap();
        let read = server.read(&mut buf).await.unwrap();
        server.write_all(&buf[..read]).await.unwrap();
        let echoed = client.read_chunk().await.unwrap().unwrap();
        assert_eq!(echoed.len(), TEXT.len());
    }
}

#[test]
fn a_read_and_a_write_allocate_what_rustls_allocates() {
    let (connector, acceptor) = ends();
    let expected = of_rustls(&connector, &acceptor);
    let mut event_loop = EventLoop::new().unwrap();
    let (client, server) = event_loop.block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let accepting = acceptor.accept(server);
        let (client, server) =
            oneloop::aio::join(connector.connect("localhost", client), accepting).await;
        let ends = (client.unwrap(), server.unwrap());
        rounds(&ends.0, &ends.1, 10).await;
        ends
    });
    let ours = measure(|| event_loop.block_on(rounds(&client, &server, ROUNDS))).count_total;
    println!("{ours} allocations in {ROUNDS} rounds, {expected} in rustls alone");
    // A run of the loop itself allocates a few times.
    assert!(ours <= expected + 20, "{ours} > {expected}");
}
