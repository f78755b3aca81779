//! The PROXY protocol: balancers introduce clients to the server, and the server introduces clients
//! to its upstreams.
#![cfg(feature = "access")]

mod harness;

use harness::client::{
    self, connect_from, connect_unix, echo, expect_bytes, expect_end, read_until_closed,
};
use harness::command::{self, expect_refused};
use harness::eventually;
use harness::server::Server;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The balancer's address in these tests is one of 127.0.0.0/24.
const REQUIRE: [&str; 4] = [
    "--proxy-protocol",
    "require",
    "--proxy-from",
    "127.0.0.0/24",
];

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n";

/// The same client in version 2.
fn v2() -> Vec<u8> {
    v2_of(
        0x21,
        0x11,
        &[203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80],
    )
}

fn v2_of(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A program that prints what it knows of its client.
fn printer(flags: &[&str]) -> Server {
    let script = "echo $PROTO $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP $TCPLOCALPORT \
                  $UNIXREMOTEPATH $UNIXLOCALPATH";
    Server::start(&[&["--mode", "exec"], flags, &["--", "sh", "-c", script]].concat())
}

/// What the program prints for a connection that begins with these bytes.
#[track_caller]
fn printed(server: &Server, header: &[u8]) -> String {
    let mut client = server.connect();
    client.write_all(header).unwrap();
    read_line(client)
}

#[track_caller]
fn read_line(client: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Sends bytes that are no good beginning, and expects a close without an answer.
#[track_caller]
fn is_closed(server: &Server, bytes: &[u8]) {
    let mut client = server.connect();
    let _ = client.write_all(bytes);
    assert_eq!(read_until_closed(&client), 0);
}

#[test]
fn the_header_names_the_client_and_where_it_connected_to() {
    let server = printer(&REQUIRE);
    let tcp4 = "TCP 203.0.113.7 4711 192.0.2.1 80";
    assert_eq!(printed(&server, V1), tcp4);
    assert_eq!(printed(&server, &v2()), tcp4);
    let tcp6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n";
    assert_eq!(
        printed(&server, tcp6),
        "TCP 2001:db8::7 4711 2001:db8::1 80"
    );
    let with_tlvs = [
        &[203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80][..],
        &[0x01, 0, 2, b'h', b'2', 0x05, 0, 3, 1, 2, 3],
    ];
    assert_eq!(
        printed(&server, &v2_of(0x21, 0x11, &with_tlvs.concat())),
        tcp4
    );
    let mut paths = [0; 216];
    paths[..6].copy_from_slice(b"/run/a");
    paths[108..114].copy_from_slice(b"/run/b");
    assert_eq!(
        printed(&server, &v2_of(0x21, 0x31, &paths)),
        "UNIX /run/a /run/b"
    );
    server.drain();
}

#[test]
fn a_connection_of_the_balancer_itself_has_its_own_address() {
    let server = printer(&REQUIRE);
    let port = server.addr().port();
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        &v2_of(0x20, 0, &[]),
        &v2_of(0x21, 0, &[]),
    ] {
        let mut client = server.connect();
        client.write_all(header).unwrap();
        let own_port = client.local_addr().unwrap().port();
        let own = format!("TCP 127.0.0.1 {own_port} 127.0.0.1 {port}");
        assert_eq!(read_line(&client), own);
    }
    server.drain();
}

#[test]
fn bytes_behind_the_header_are_the_clients_first() {
    for threads in ["1", "2"] {
        let server = Server::start(&[&REQUIRE[..], &["--threads", threads]].concat());
        for header in [V1, &v2()] {
            let mut client = server.connect();
            client.write_all(&[header, b"hello"].concat()).unwrap();
            expect_bytes(&client, b"hello");
            echo(&client, b"and more");
            client::leave(client);
            let mut client = server.connect();
            client.write_all(header).unwrap();
            echo(&client, b"hello");
        }
        server.drain();
    }
}

#[test]
fn a_header_may_come_in_parts() {
    let server = Server::start(&REQUIRE);
    for header in [V1, &v2()] {
        for cut in 1..header.len() {
            let mut client = server.connect();
            client.write_all(&header[..cut]).unwrap();
            eventually("the first part is taken", || {
                server.unread_from(&client) == 0
            });
            client
                .write_all(&[&header[cut..], b"hello"].concat())
                .unwrap();
            expect_bytes(&client, b"hello");
        }
    }
    server.drain();
}

#[test]
fn a_long_header_is_read_to_its_end() {
    let server = printer(&REQUIRE);
    let mut payload = vec![203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80];
    payload.extend([0x04, 0x0b, 0xb8]); // 3,000 bytes without a meaning
    payload.extend([7; 3000]);
    let header = v2_of(0x21, 0x11, &payload);
    assert_eq!(
        printed(&server, &header),
        "TCP 203.0.113.7 4711 192.0.2.1 80"
    );
    server.drain();
}

#[test]
fn each_bad_beginning_is_closed_and_counted_by_its_reason() {
    let flags = [&REQUIRE[..], &["--handshake-timeout", "300ms"]].concat();
    let mut server = Server::start(&flags);
    is_closed(&server, b"GET / HTTP/1.1\r\n\r\n");
    server.stderr.wait_for("refused: it sends no PROXY header");
    is_closed(&server, b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n");
    server
        .stderr
        .wait_for("refused: its PROXY header breaks the protocol");
    is_closed(&server, &v2_of(0x21, 0x11, &[0; 11]));
    is_closed(&server, &v2_of(0x21, 0x11, &[0; 5000]));
    for cut in [5, V1.len() - 1] {
        let mut client = server.connect();
        client.write_all(&V1[..cut]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        expect_end(&client);
    }
    server
        .stderr
        .wait_for("refused: it ends within its PROXY header");
    // Not a byte, and a byte now and then: the time is for the whole header.
    let start = Instant::now();
    let silent = server.connect();
    expect_end(&silent);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let mut slow = server.connect();
    for byte in V1.chunks(1) {
        if slow.write_all(byte).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(read_until_closed(&slow), 0);
    server
        .stderr
        .wait_for("its PROXY header is not complete within --handshake-timeout");
    let stranger = connect_from(server.addr(), "127.0.1.1");
    let _ = (&stranger).write_all(V1);
    assert_eq!(read_until_closed(&stranger), 0);
    server.stderr.wait_for("refused: it is not in --proxy-from");
    server.signal(Signal::USR1);
    let line = server.stderr.wait_for(": the server ");
    let counts = "proxy_untrusted=1 proxy_missing=1 proxy_truncated=2 proxy_late=2 proxy_invalid=3";
    assert!(line.contains(counts), "{line}");
    assert!(line.contains("connections=0 "), "{line}");
    server.drain();
}

#[test]
fn other_clients_may_come_directly() {
    let flags = ["--proxy-protocol", "accept", "--proxy-from", "127.0.0.2"];
    let server = printer(&flags);
    let direct = connect_from(server.addr(), "127.0.0.1");
    assert!(read_line(&direct).starts_with("TCP 127.0.0.1 "));
    let mut introduced = connect_from(server.addr(), "127.0.0.2");
    introduced.write_all(V1).unwrap();
    assert_eq!(read_line(&introduced), "TCP 203.0.113.7 4711 192.0.2.1 80");
    // From anywhere else, a header is bytes as all others.
    let mut liar = connect_from(server.addr(), "127.0.0.3");
    liar.write_all(V1).unwrap();
    assert!(read_line(&liar).starts_with("TCP 127.0.0.3 "));
    server.drain();
}

#[test]
fn lists_and_limits_are_for_the_client_and_not_for_its_balancer() {
    let flags = [
        "--allow",
        "203.0.113.0/24,2001:db8::/32",
        "--deny",
        "203.0.113.9",
    ];
    let flags = [&REQUIRE[..], &flags, &["--max-per-source", "1"]].concat();
    let mut server = Server::start(&flags);
    let connect = |from: &str, to: &str| {
        let family = if from.contains(':') { "TCP6" } else { "TCP4" };
        let mut client = server.connect();
        let header = format!("PROXY {family} {from} {to} 4711 80\r\nhello");
        client.write_all(header.as_bytes()).unwrap();
        client
    };
    let one = connect("203.0.113.7", "192.0.2.1");
    expect_bytes(&one, b"hello");
    let other = connect("203.0.113.8", "192.0.2.1");
    expect_bytes(&other, b"hello");
    for from in ["203.0.113.7", "203.0.113.9", "198.51.100.1"] {
        assert_eq!(read_until_closed(&connect(from, "192.0.2.1")), 0, "{from}");
    }
    // IPv6 clients are one source by 64 bits.
    let six = connect("2001:db8::1", "::1");
    expect_bytes(&six, b"hello");
    assert_eq!(read_until_closed(&connect("2001:db8::2", "::1")), 0);
    let neighbor = connect("2001:db8:0:1::1", "::1");
    expect_bytes(&neighbor, b"hello");
    client::leave(one);
    let again = connect("203.0.113.7", "192.0.2.1");
    expect_bytes(&again, b"hello");
    drop((other, six, neighbor, again));
    server
        .stderr
        .wait_for("refused: --allow and --deny exclude it refused=");
    server.drain();
}

#[test]
fn logs_and_reports_name_the_client() {
    let flags = [&REQUIRE[..], &["--idle-timeout", "500ms"]].concat();
    let mut server = Server::start(&flags);
    let mut waiting = server.connect();
    waiting.write_all(&V1[..9]).unwrap();
    let mut client = server.connect();
    client.write_all(&[V1, b"hello"].concat()).unwrap();
    expect_bytes(&client, b"hello");
    server.signal(Signal::USR1);
    let line = server.stderr.wait_for("client 2 ");
    assert!(
        line.contains("client 2 203.0.113.7:4711: 5 bytes in, 5 out"),
        "{line}"
    );
    expect_end(&client);
    let line = server.stderr.wait_for("--idle-timeout passed");
    assert!(line.contains("number=2 peer=203.0.113.7:4711"), "{line}");
    drop(waiting);
    server.drain();
}

#[test]
fn the_report_names_a_client_that_has_no_header_yet() {
    let mut server = Server::start(&REQUIRE);
    let client = server.connect();
    let own = client.local_addr().unwrap();
    eventually("it is accepted", || {
        server.signal(Signal::USR1);
        let line = server.stderr.wait_for(": the server ");
        line.contains("connections=1 ")
    });
    let said = format!("client 1 {own}: 0 bytes in, 0 out, 0 queued");
    let line = server.stderr.wait_for(&said);
    assert!(line.ends_with("waits for its PROXY header"), "{line}");
    drop(client);
    server.drain();
}

#[test]
fn a_drain_closes_connections_without_a_header_and_serves_the_rest() {
    for threads in ["1", "2"] {
        let flags = [&REQUIRE[..], &["--drain", "20s", "--threads", threads]].concat();
        let mut server = Server::start(&flags);
        let start = Instant::now();
        let silent = server.connect();
        let mut begun = server.connect();
        begun.write_all(&V1[..9]).unwrap();
        let mut served = server.connect();
        served.write_all(&[V1, b"hello"].concat()).unwrap();
        server.signal(Signal::TERM);
        expect_bytes(&served, b"hello");
        expect_end(&served);
        expect_end(&silent);
        assert_eq!(read_until_closed(&begun), 0);
        server.expect_exit(0);
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(9),
            "it waited for headers: {took:?}"
        );
    }
}

#[test]
fn in_a_chat_the_introduced_speak_as_others_do() {
    let server = Server::start(&[&REQUIRE[..], &["--mode", "chat"]].concat());
    let [mut first, mut second] = [(); 2].map(|()| server.connect());
    first.write_all(V1).unwrap();
    second.write_all(V1).unwrap();
    // Once the first receives a word, both are in the room.
    eventually("both are in the room", || {
        second.write_all(b"knock\n").unwrap();
        !client::is_silent(&first)
    });
    first.write_all(b"welcome\n").unwrap();
    expect_bytes(&second, b"welcome\n");
    drop((first, second));
    server.drain();
}

#[test]
fn balancers_may_use_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let flags = ["--listen", &listen, "--proxy-protocol", "require"];
    let flags = [
        &flags[..],
        &["--proxy-from", "unix", "--allow", "203.0.113.7"],
    ]
    .concat();
    let server = Server::run(command::main(&flags));
    let mut client = connect_unix(UnixStream::connect(&path).unwrap());
    client.write_all(&[V1, b"hello"].concat()).unwrap();
    expect_bytes(&client, b"hello");
    drop(client);
    server.drain();
}

#[test]
fn a_header_introduces_the_client_to_its_upstream() {
    for (version, threads) in [("v1", "1"), ("v2", "2")] {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = upstream.local_addr().unwrap().to_string();
        let flags = ["--mode", "proxy", "--to", &to, "--send-proxy", version];
        let proxy = Server::start(&[&flags[..], &["--threads", threads]].concat());
        let mut client = proxy.connect();
        client.write_all(b"question").unwrap();
        let (mut server, _) = upstream.accept().unwrap();
        let (from, at) = (client.local_addr().unwrap(), proxy.addr());
        let expected = match version {
            "v1" => format!(
                "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
                from.port(),
                at.port()
            )
            .into_bytes(),
            _ => {
                let ports = [from.port().to_be_bytes(), at.port().to_be_bytes()].concat();
                v2_of(
                    0x21,
                    0x11,
                    &[&[127, 0, 0, 1, 127, 0, 0, 1][..], &ports].concat(),
                )
            }
        };
        expect_bytes(&server, &expected);
        expect_bytes(&server, b"question");
        server.write_all(b"answer").unwrap();
        expect_bytes(&client, b"answer");
        drop((client, server));
        proxy.drain();
    }
}

#[test]
fn the_client_is_passed_on_through_several_proxies() {
    let printer = printer(&REQUIRE);
    let to = printer.addr().to_string();
    let flags = ["--mode", "proxy", "--to", &to, "--send-proxy"];
    let second = Server::start(&[&REQUIRE[..], &flags, &["v2"]].concat());
    let to = second.addr().to_string();
    let flags = ["--mode", "proxy", "--to", &to, "--send-proxy"];
    let first = Server::start(&[&REQUIRE[..], &flags, &["v1"]].concat());
    assert_eq!(printed(&first, V1), "TCP 203.0.113.7 4711 192.0.2.1 80");
    for server in [first, second, printer] {
        server.drain();
    }
}

#[test]
fn an_upstream_of_a_unix_client_learns_no_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    for version in ["v1", "v2"] {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = upstream.local_addr().unwrap().to_string();
        let flags = ["--listen", &listen, "--mode", "proxy", "--to", &to];
        let flags = [&flags[..], &["--send-proxy", version]].concat();
        let proxy = Server::run(command::main(&flags));
        let mut client = connect_unix(UnixStream::connect(&path).unwrap());
        client.write_all(b"question").unwrap();
        let (server, _) = upstream.accept().unwrap();
        if version == "v1" {
            expect_bytes(&server, b"PROXY UNKNOWN\r\nquestion");
        } else {
            let mut paths = [0; 216];
            let text = path.to_str().unwrap().as_bytes();
            paths[108..108 + text.len()].copy_from_slice(text);
            expect_bytes(
                &server,
                &[&v2_of(0x21, 0x31, &paths), &b"question"[..]].concat(),
            );
        }
        drop((client, server));
        proxy.drain();
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    expect_refused(
        &["--proxy-protocol", "require"],
        "--proxy-protocol require needs --proxy-from",
    );
    expect_refused(
        &["--proxy-from", "10.0.0.0/8"],
        "--proxy-from 10.0.0.0/8 has no effect",
    );
    expect_refused(
        &["--send-proxy", "v1"],
        "--send-proxy v1 is for --mode proxy, and this is --mode echo",
    );
}

#[test]
fn clients_come_and_go_by_the_thousand() {
    harness::raise_limit_of_files();
    let server = Server::start(&[&REQUIRE[..], &["--threads", "2"]].concat());
    let before = server.open_files();
    for _ in 0..5 {
        let clients: Vec<TcpStream> = (0..200)
            .map(|number| {
                let mut client = server.connect();
                let header = if number % 2 == 0 { V1.to_vec() } else { v2() };
                client.write_all(&header).unwrap();
                client
            })
            .collect();
        client::echo_many(clients, 10_000);
    }
    eventually("all fds are closed again", || server.open_files() == before);
    server.drain();
}
