//! openssl at the other end.

use crate::harness::LOCALHOST;
use oneloop::aio::process::{Command, Stdio};
use oneloop::aio::{self, TcpListener, TcpStream, spawn, timeout};
use oneloop::tls::rustls::{HandshakeKind, ProtocolVersion};
use oneloop::tls::{ClientOptions, ServerOptions, TlsAcceptor};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// What a server has seen of a client.
#[derive(Debug, PartialEq)]
struct Seen {
    version: ProtocolVersion,
    kind: HandshakeKind,
    alpn: Option<Vec<u8>>,
    said: String,
}

/// Answers one line of a client.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<Seen> {
    let stream = acceptor.accept(stream).await?;
    let said = stream.lines(80).next().await?.unwrap_or_default();
    if !said.is_empty() {
        let answer = format!("you said {said}\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    stream.shutdown().await?;
    Ok(Seen {
        version: stream.protocol_version().unwrap(),
        kind: stream.handshake_kind().unwrap(),
        alpn: stream.alpn_protocol(),
        said,
    })
}

/// Runs a server, and `clients`, each a list of further arguments of `openssl s_client`. Returns what
/// the clients print, and what the server has seen; `None`, and a printed line, without openssl.
async fn with_clients(clients: &[&str]) -> Option<(Vec<String>, Vec<Seen>)> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), &LOCALHOST.certificate).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let serving = spawn({
        let seen = Rc::clone(&seen);
        async move {
            let acceptor = LOCALHOST.acceptor(ServerOptions {
                alpn: vec!["h2", "http/1.1"],
                ..ServerOptions::default()
            });
            loop {
                let (stream, _peer) = listener.accept().await.unwrap();
                let (seen, served) = (Rc::clone(&seen), serve(stream, acceptor.clone()));
                spawn(async move {
                    let served = served.await.unwrap();
                    seen.borrow_mut().push(served);
                });
            }
        }
    });
    let mut printed = Vec::new();
    for args in clients {
        printed.push(client(addr, folder.path(), args).await?);
    }
    serving.cancel();
    Some((printed, seen.take()))
}

async fn client(addr: SocketAddr, folder: &Path, args: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command
        .args([
            "s_client",
            "-connect",
            &addr.to_string(),
            "-servername",
            "localhost",
        ])
        .args(["-CAfile", "ca.pem", "-verify_return_error", "-ign_eof"])
        .args(args.split_whitespace())
        .current_dir(folder)
        .input("tea\n")
        .timeout(Duration::from_secs(60));
    let output = match command.output().await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: openssl is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {text}{errors}");
    Some(text)
}

#[test]
fn s_client_talks_in_both_versions_with_a_verified_certificate_and_alpn() {
    aio::block_on(async {
        let clients = [
            "-tls1_2 -alpn http/1.1",
            "-tls1_3 -alpn h2,http/1.1",
            "-tls1_3",
        ];
        let Some((printed, seen)) = with_clients(&clients).await else {
            return;
        };
        for text in &printed {
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
            assert!(text.contains("you said tea\n"), "{text}");
            // It prints this for an end with close_notify; without, an error of its own.
            assert!(text.contains("closed\n") || text.contains("DONE"), "{text}");
        }
        assert!(
            printed[0].contains("ALPN protocol: http/1.1"),
            "{}",
            printed[0]
        );
        assert!(printed[1].contains("ALPN protocol: h2"), "{}", printed[1]);
        let expected = [
            (ProtocolVersion::TLSv1_2, Some(&b"http/1.1"[..])),
            (ProtocolVersion::TLSv1_3, Some(b"h2")),
            (ProtocolVersion::TLSv1_3, None),
        ];
        for (seen, (version, alpn)) in seen.iter().zip(expected) {
            let expected = Seen {
                version,
                kind: HandshakeKind::Full,
                alpn: alpn.map(<[u8]>::to_vec),
                said: "tea".to_owned(),
            };
            assert_eq!(*seen, expected);
        }
        assert_eq!(seen.len(), 3);
    });
}

#[test]
fn s_client_resumes_sessions_in_both_versions() {
    aio::block_on(async {
        // `-reconnect` connects six times, and prints one line for each session.
        let Some((printed, seen)) = with_clients(&["-tls1_2 -reconnect"]).await else {
            return;
        };
        let reused = printed[0].matches("\nReused, TLSv1.2").count();
        assert_eq!(reused, 5, "{}", printed[0]);
        let resumed = |seen: &Seen| seen.kind == HandshakeKind::Resumed;
        assert_eq!(seen.iter().filter(|seen| resumed(seen)).count(), 5);

        // The tickets of TLS 1.3 come behind the handshake, and that option does not wait for them.
        let clients = ["-tls1_3 -sess_out session", "-tls1_3 -sess_in session"];
        let (printed, seen) = with_clients(&clients).await.unwrap();
        assert!(printed[0].contains("\nNew, TLSv1.3"), "{}", printed[0]);
        assert!(printed[1].contains("\nReused, TLSv1.3"), "{}", printed[1]);
        assert_eq!(seen.iter().map(resumed).collect::<Vec<_>>(), [false, true]);
    });
}

#[test]
fn s_server_answers_our_client_in_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cert.pem"), &LOCALHOST.certificate).unwrap();
    std::fs::write(folder.path().join("key.pem"), &LOCALHOST.key).unwrap();
    for (version, expected) in [
        ("-tls1_2", ProtocolVersion::TLSv1_2),
        ("-tls1_3", ProtocolVersion::TLSv1_3),
    ] {
        aio::block_on(async {
            let mut command = Command::new("openssl");
            command
                .args([
                    "s_server",
                    "-accept",
                    "127.0.0.1:0",
                    "-naccept",
                    "1",
                    "-rev",
                    version,
                ])
                .args(["-alpn", "tea", "-cert", "cert.pem", "-key", "key.pem"])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true);
            let mut server = match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return eprintln!("skipped: openssl is not installed");
                }
                spawned => spawned.unwrap(),
            };
            let stdout = server.stdout.take().unwrap();
            let mut lines = stdout.lines(1000);
            let addr = loop {
                let line = lines.next().await.unwrap().expect("ACCEPT and an address");
                if let Some(addr) = line.strip_prefix("ACCEPT ") {
                    break addr.to_owned();
                }
            };
            let connector = LOCALHOST.connector(ClientOptions {
                alpn: vec!["tea"],
                ..ClientOptions::default()
            });
            let stream = TcpStream::connect(addr).await.unwrap();
            let stream = connector.connect("localhost", stream).await.unwrap();
            assert_eq!(stream.protocol_version(), Some(expected));
            assert!(stream.is_alpn("tea"));
            stream.write_all(b"toast\n").await.unwrap();
            let mut answers = stream.lines(80);
            let answer = timeout(Duration::from_secs(60), answers.next()).await;
            assert_eq!(answer.unwrap().unwrap().unwrap(), "tsaot");
            drop(answers);
            stream.shutdown().await.unwrap();
            assert_eq!(
                stream.read(&mut [0; 8]).await.unwrap(),
                0,
                "its close_notify"
            );
            drop(stream);
        });
    }
}
