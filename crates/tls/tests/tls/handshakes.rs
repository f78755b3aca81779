//! What both ends agree on, and when they do not.

use crate::harness::{
    LOCALHOST, Made, acceptor, block_on, both, bytes, connector, echo, pair, sent_and_echoed,
    shaken, tcp,
};
use oneloop::aio::{TcpStream, UnixStream, join, now, spawn};
use oneloop::tls::rustls::{self, HandshakeKind, ProtocolVersion};
use oneloop::tls::{
    ClientCertificates, ClientOptions, ServerOptions, TlsAcceptor, TlsConnector, TlsStream,
};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn both_ends_talk_over_tcp_and_unix_sockets_and_within_another_connection() {
    block_on(async {
        let sent = bytes(3 << 20);
        let (client, server) = shaken(tcp().await).await;
        spawn(echo(server));
        assert!(sent_and_echoed(client, &sent).await == sent);
        let (client, server) = pair().await;
        spawn(echo(server));
        assert!(sent_and_echoed(client, &sent).await == sent);
        let (client, server) = shaken(pair().await).await;
        spawn(echo(server));
        assert!(sent_and_echoed(client, &sent).await == sent);
    });
}

fn alpn(server: Vec<&'static str>, client: Vec<&'static str>) -> (TlsConnector, TlsAcceptor) {
    let acceptor = LOCALHOST.acceptor(ServerOptions {
        alpn: server,
        ..ServerOptions::default()
    });
    let connector = LOCALHOST.connector(ClientOptions {
        alpn: client,
        ..ClientOptions::default()
    });
    (connector, acceptor)
}

#[test]
fn the_protocol_is_the_first_of_the_server_that_the_client_speaks() {
    block_on(async {
        let (connector, acceptor) = alpn(vec!["h2", "http/1.1"], vec!["http/1.1", "h2"]);
        let ends = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
        for end in [ends.0.unwrap(), ends.1.unwrap()] {
            assert!(end.is_alpn("h2") && !end.is_alpn("http/1.1"));
            assert_eq!(end.alpn_protocol().unwrap(), b"h2");
            assert_eq!(end.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        }
        let (connector, acceptor) = alpn(vec!["h2"], vec![]);
        let (client, server) = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
        assert_eq!(client.unwrap().alpn_protocol(), None);
        let server = server.unwrap();
        assert_eq!(server.alpn_protocol(), None);
        assert_eq!(server.server_name().unwrap(), "localhost");
    });
}

#[test]
fn a_client_without_a_common_protocol_gets_an_alert() {
    block_on(async {
        let (connector, acceptor) = alpn(vec!["h2"], vec!["tea"]);
        let (client, server) = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
        let client = client.unwrap_err();
        assert_eq!(
            client.to_string(),
            "received fatal alert: NoApplicationProtocol"
        );
        let server = server.unwrap_err();
        assert_eq!(server.kind(), ErrorKind::InvalidData);
        let inner = server.get_ref().unwrap().downcast_ref();
        assert_eq!(inner, Some(&rustls::Error::NoApplicationProtocol));
    });
}

/// A connector of one version of TLS.
fn version(version: &'static rustls::SupportedProtocolVersion) -> TlsConnector {
    let provider = Arc::clone(connector().config().crypto_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(Arc::clone(LOCALHOST.roots().store()))
        .with_no_client_auth();
    TlsConnector::from_config(Arc::new(config), Duration::from_secs(10))
}

#[test]
fn a_second_connection_resumes_the_session_in_both_versions() {
    block_on(async {
        for (connector, expected) in [
            (version(&rustls::version::TLS13), ProtocolVersion::TLSv1_3),
            (version(&rustls::version::TLS12), ProtocolVersion::TLSv1_2),
        ] {
            let acceptor = acceptor();
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let ends = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
                let (client, server) = (ends.0.unwrap(), ends.1.unwrap());
                // The tickets of TLS 1.3 come behind the handshake.
                server.write_all(b"hello").await.unwrap();
                client.read_exact(&mut [0; 5]).await.unwrap();
                assert_eq!(client.handshake_kind(), Some(kind));
                assert_eq!(server.handshake_kind(), Some(kind));
                assert_eq!(client.protocol_version(), Some(expected));
            }
        }
    });
}

#[test]
fn of_several_certificates_the_one_with_the_clients_name_is_taken() {
    let (tea, coffee) = (Made::of(&["tea.example"]), Made::of(&["coffee.example"]));
    let identities = [&tea, &coffee].map(Made::identity);
    let acceptor = TlsAcceptor::new(identities, ServerOptions::default()).unwrap();
    block_on(async {
        for (made, name) in [(&tea, "tea.example"), (&coffee, "coffee.example")] {
            let connector = made.connector(ClientOptions::default());
            let (client, server) = UnixStream::pair().unwrap();
            let ends = join(connector.connect(name, client), acceptor.accept(server)).await;
            assert_eq!(ends.1.unwrap().server_name().unwrap(), name);
            let shown = ends.0.unwrap().peer_certificates().unwrap();
            assert_eq!(shown, made.identity().certified_key().cert);
        }
        // A client that asks for another name gets the first.
        let connector = tea.connector(ClientOptions::default());
        let (client, server) = UnixStream::pair().unwrap();
        let ends = join(
            connector.connect("water.example", client),
            acceptor.accept(server),
        );
        let error = ends.await.0.unwrap_err();
        assert!(error.to_string().contains("tea.example"), "{error}");
    });
}

#[test]
fn a_server_that_is_not_trusted_or_has_another_name_is_rejected() {
    let other = Made::of(&["other", "localhost"]);
    block_on(async {
        let connector = other.connector(ClientOptions::default());
        let (client, server) = both(&connector, &acceptor(), UnixStream::pair().unwrap()).await;
        let problem = client.unwrap_err().to_string();
        assert!(problem.contains("UnknownIssuer"), "{problem}");
        let problem = server.unwrap_err().to_string();
        assert_eq!(problem, "received fatal alert: UnknownCA");

        let (client, server) = UnixStream::pair().unwrap();
        let connector = crate::harness::connector();
        let acceptor = acceptor();
        let ends = join(
            connector.connect("other.example", client),
            acceptor.accept(server),
        );
        let problem = ends.await.0.unwrap_err().to_string();
        assert!(problem.contains("not valid for name"), "{problem}");
        let (client, _server) = UnixStream::pair().unwrap();
        let error = connector.connect("a b", client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            "\"a b\" is neither a DNS name nor an IP address"
        );
    });
}

/// The results of a connection to a server that asks for certificates.
async fn with_certificates(
    asked: ClientCertificates,
    client: Option<&Made>,
) -> (std::io::Result<usize>, Option<TlsStream<UnixStream>>) {
    let acceptor = LOCALHOST.acceptor(ServerOptions {
        client_certificates: asked,
        ..ServerOptions::default()
    });
    let connector = LOCALHOST.connector(ClientOptions {
        identity: client.map(Made::identity),
        ..ClientOptions::default()
    });
    let (client, server) = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
    if let Ok(server) = &server {
        server.write_all(b"welcome").await.unwrap();
    }
    // The client of TLS 1.3 learns only now whether the server took its certificate.
    (client.unwrap().read(&mut [0; 8]).await, server.ok())
}

#[test]
fn a_client_that_needs_a_certificate_has_one_of_these_roots_or_is_rejected() {
    let (member, stranger) = (Made::of(&["member"]), Made::of(&["stranger"]));
    let required = || ClientCertificates::Required(member.roots());
    let optional = || ClientCertificates::Optional(member.roots());
    block_on(async {
        for asked in [required(), optional()] {
            let (read, server) = with_certificates(asked.clone(), Some(&member)).await;
            assert_eq!(read.unwrap(), 7);
            let shown = server.unwrap().peer_certificates().unwrap();
            assert_eq!(shown, member.identity().certified_key().cert);
            let (read, server) = with_certificates(asked, Some(&stranger)).await;
            let problem = read.unwrap_err().to_string();
            assert!(problem.starts_with("received fatal alert: "), "{problem}");
            assert!(server.is_none());
        }
        let (read, server) = with_certificates(required(), None).await;
        let problem = read.unwrap_err().to_string();
        assert_eq!(problem, "received fatal alert: CertificateRequired");
        assert!(server.is_none());
        let (read, server) = with_certificates(optional(), None).await;
        assert_eq!(read.unwrap(), 7);
        assert_eq!(server.unwrap().peer_certificates(), None);
    });
}

#[test]
fn a_handshake_that_stalls_is_closed_on_time_at_both_ends() {
    block_on(async {
        // The first bytes of a ClientHello, and a whole record of which one byte comes each second.
        for begun in [0, 1, 5, 40] {
            let (client, server) = tcp().await;
            let start = now();
            let acceptor = acceptor();
            let accepted = spawn(async move { acceptor.accept(server).await.map(drop) });
            let hello = [
                b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03".to_vec(),
                vec![7; 60],
            ];
            client.write_all(&hello.concat()[..begun]).await.unwrap();
            // A reset if the server has not read what came; both are a close.
            let _ = client.read_all(80).await;
            assert_eq!((now() - start).as_secs(), 10, "{begun}");
            let error = accepted.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(error.to_string(), "the TLS handshake took longer than 10s");
        }

        let (client, server) = tcp().await;
        let start = now();
        let drips = spawn(async move {
            let mut count = 0;
            while client.write_all(&[22]).await.is_ok() {
                oneloop::aio::sleep(Duration::from_secs(1)).await;
                count += 1;
            }
            count
        });
        let options = ServerOptions {
            handshake_limit: Duration::from_secs(3),
            ..ServerOptions::default()
        };
        let error = LOCALHOST
            .acceptor(options)
            .accept(server)
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::InvalidData),
            "{error}"
        );
        assert!((now() - start).as_secs() <= 3);
        assert!(drips.await.unwrap() <= 6);

        let (client, _server) = UnixStream::pair().unwrap();
        let start = now();
        let error = connector().connect("localhost", client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!((now() - start).as_secs(), 10);
    });
}

#[test]
fn a_client_that_leaves_in_its_handshake_is_an_end() {
    block_on(async {
        let (client, server) = tcp().await;
        drop::<TcpStream>(client);
        let error = acceptor().accept(server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn an_acceptor_goes_to_other_threads() {
    fn crosses<T: Send + Sync + Clone + 'static>() {}
    crosses::<TlsAcceptor>();
    crosses::<TlsConnector>();
    crosses::<oneloop::tls::Identity>();
    crosses::<oneloop::tls::Roots>();
}
