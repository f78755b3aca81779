//! Peers that speak no TLS, or break it.

use crate::harness::{acceptor, block_on, bytes, connector, pair, shaken, tcp};
use oneloop::aio::{TcpStream, UnixStream, join, spawn};
use oneloop::net::WriteHalf;
use oneloop::tls::rustls::{self, AlertDescription};
use std::io::{self, ErrorKind};

/// Sends bytes to an acceptor. Returns its error, and what it sends.
async fn refused(sent: &[u8]) -> (io::Error, Vec<u8>) {
    let (client, server) = tcp().await;
    client.write_all(sent).await.unwrap();
    let acceptor = acceptor();
    let accepted = spawn(async move { acceptor.accept(server).await.map(drop) });
    let received = client.read_all(1000).await.expect("no reset");
    (accepted.await.unwrap().unwrap_err(), received)
}

/// The alerts in records that are not encrypted. Nothing else may be there.
fn alerts(mut records: &[u8]) -> Vec<AlertDescription> {
    let mut alerts = Vec::new();
    while let [21, 3, _, 0, 2, level, description, rest @ ..] = records {
        assert_eq!(*level, 2, "fatal");
        alerts.push(AlertDescription::from(*description));
        records = rest;
    }
    assert!(records.is_empty(), "{records:?}");
    alerts
}

#[test]
fn plain_http_is_answered_by_one_alert_and_one_error_that_says_so() {
    block_on(async {
        let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
        let post = format!("POST / HTTP/1.1\r\n\r\n{}", "x".repeat(200_000));
        for request in [get, post, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()] {
            let (error, received) = refused(request.as_bytes()).await;
            assert_eq!(alerts(&received), [AlertDescription::DecodeError]);
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let expected =
                "the peer does not speak TLS; plain HTTP on a port for TLS looks like this";
            assert_eq!(error.to_string(), expected);
            let source = error.get_ref().unwrap().source().unwrap();
            assert!(source.is::<rustls::Error>());
        }
    });
}

#[test]
fn a_client_that_gets_no_tls_says_so() {
    block_on(async {
        let (client, server) = tcp().await;
        server.write_all(b"220 ready\r\n").await.unwrap();
        let error = connector().connect("localhost", client).await.unwrap_err();
        assert!(error.to_string().starts_with("the peer does not speak TLS"));
        let received = server.read_all(4000).await.unwrap();
        let hello = usize::from(u16::from_be_bytes([received[3], received[4]])) + 5;
        assert_eq!(alerts(&received[hello..]), [AlertDescription::DecodeError]);
    });
}

#[test]
fn each_kind_of_garbage_is_answered_by_an_alert() {
    block_on(async {
        let oversized = [&[22, 3, 1, 0xff, 0xff][..], &bytes(70_000)].concat();
        let record = |kind: u8, payload: &[u8]| {
            let len = (payload.len() as u16).to_be_bytes();
            [&[kind, 3, 1][..], &len, payload].concat()
        };
        for sent in [
            oversized,
            vec![0; 1000],
            bytes(100_000),
            record(22, &[1, 0xff, 0xff, 0xff, 0]), // a handshake message of 16 MB
            record(22, &[99, 0, 0, 1, 0]),         // an unknown one
            record(22, &[1, 0, 0, 4, 3, 3, 0, 0]), // a ClientHello that is cut
            record(23, b"tea"),                    // data before the handshake
            record(20, &[1]),                      // a change of the cipher before it
            record(22, b""),
        ] {
            let (error, received) = refused(&sent).await;
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert_eq!(alerts(&received).len(), 1, "{error}: {received:?}");
        }
        // An alert needs no answer.
        let (error, received) = refused(&record(21, &[2, 40])).await;
        assert_eq!(error.to_string(), "received fatal alert: HandshakeFailure");
        assert!(received.is_empty(), "{received:?}");
    });
}

#[test]
fn garbage_in_a_connection_ends_it_by_an_alert_and_no_other() {
    block_on(async {
        let (other_client, other_server) = pair().await;
        for (garbage, alert) in [
            (&b"\x17\x03\x03\xff\xff"[..], AlertDescription::DecodeError),
            (
                &b"\x17\x03\x03\x00\x20tea and toast, and more of both."[..],
                AlertDescription::BadRecordMac,
            ),
            (
                &b"GET / HTTP/1.1\r\n\r\n"[..],
                AlertDescription::DecodeError,
            ),
            (&b"\x17\x03\x03\x00\x00"[..], AlertDescription::BadRecordMac),
        ] {
            let (client, server) = shaken(tcp().await).await;
            client.stream().write_all(garbage).await.unwrap();
            for _ in 0..2 {
                let error = server.read(&mut [0; 8]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            }
            let error = server.write_all(b"tea").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            let error = client.read(&mut [0; 8]).await.unwrap_err();
            let inner = error.get_ref().unwrap().downcast_ref::<rustls::Error>();
            assert_eq!(inner, Some(&rustls::Error::AlertReceived(alert)));
            other_client.write_all(b"tea").await.unwrap();
            other_server.read_exact(&mut [0; 3]).await.unwrap();
        }
    });
}

/// Passes on bytes, and changes one of them.
async fn altered(from: &UnixStream, to: &UnixStream, mut at: usize, mask: u8) {
    while let Ok(Some(chunk)) = from.read_chunk().await {
        let mut bytes = chunk.to_vec();
        match bytes.get_mut(at) {
            Some(byte) => *byte ^= mask,
            None => at -= bytes.len(),
        }
        if at < bytes.len() {
            at = usize::MAX;
        }
        if to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = to.end();
}

#[test]
fn whichever_byte_of_a_client_is_altered_no_altered_data_is_read() {
    for at in 0..900 {
        block_on(async {
            let (client, from) = UnixStream::pair().unwrap();
            let (to, server) = UnixStream::pair().unwrap();
            let (from, to) = (std::rc::Rc::new(from), std::rc::Rc::new(to));
            let (there, back) = ((from.clone(), to.clone()), (to, from));
            spawn(async move { altered(&there.0, &there.1, at, 1 << (at % 8)).await });
            spawn(async move { altered(&back.0, &back.1, usize::MAX, 0).await });
            let client = async {
                let client = connector().connect("localhost", client).await?;
                client.write_all(b"tea").await?;
                client.shutdown().await
            };
            let server = async { acceptor().accept(server).await?.read_text(80).await };
            let (_, read) = join(client, server).await;
            if let Ok(text) = read {
                assert_eq!(text, "tea", "{at}");
            }
        });
    }
}

#[test]
fn many_kinds_of_noise_never_panic() {
    block_on(async {
        // xorshift, so that each run has the same noise
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let acceptor = acceptor();
        for _ in 0..300 {
            let mut noise: Vec<u8> = (0..next() % 400).map(|_| next() as u8).collect();
            let head = [22, 3, (next() % 5) as u8, 0, (next() % 256) as u8, 1, 0];
            let len = noise.len().min((next() % 8) as usize);
            noise[..len].copy_from_slice(&head[..len.min(7)].repeat(2)[..len]);
            let (client, server) = UnixStream::pair().unwrap();
            client.write_all(&noise).await.unwrap();
            client.end().unwrap();
            assert!(acceptor.accept(server).await.is_err());
            drop(client);
        }
        let _: fn(TcpStream) = drop;
    });
}
