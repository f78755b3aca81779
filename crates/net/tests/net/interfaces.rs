//! Link-local IPv6 addresses keep their scope, the interface, everywhere.

use oneloop::net::{Addr, ConnectOptions, TcpListener, TcpStream, ToTarget};
use oneloop::{EventLoop, aio, callback, green};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;

/// The index of the loopback interface, the first one of each network.
const LO: u32 = 1;

/// A network namespace whose loopback interface has the address fe80::1.
struct Network(Child);

impl Network {
    fn new() -> Option<Self> {
        // The kernel adds the route some time after the address.
        let script = "ip link set lo up && ip addr add fe80::1/64 dev lo nodad || exit; \
            until ip -6 route get fe80::1 oif lo 2>&1 | grep -q ^local; do sleep 0.01; done; \
            echo up; exec cat";
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let stdout = child.stdout.take()?;
        BufReader::new(stdout).read_line(&mut line).ok()?;
        let network = Network(child);
        (line == "up\n").then_some(network)
    }

    fn enter(&self) {
        let file = File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test on a thread in such a network, or skips it where none can be made.
fn within(test: impl FnOnce() + Send) {
    let Some(network) = Network::new() else {
        println!("skipped: there are no network namespaces here");
        return;
    };
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            network.enter();
            test();
        });
        inside.join().unwrap();
    });
}

fn scope_of(addr: SocketAddr) -> u32 {
    match addr {
        SocketAddr::V6(addr) => addr.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn text(addr: SocketAddr, interface: &str) -> String {
    format!("[fe80::1%{interface}]:{}", addr.port())
}

#[test]
fn interfaces_are_parsed_by_name_and_by_number() {
    let by_number: SocketAddr = "[fe80::1%1]:80".parse().unwrap();
    for target in [
        "[fe80::1%lo]:80".to_target(),
        "[fe80::1%1]:80".to_target(),
        ("fe80::1%lo", 80).to_target(),
    ] {
        assert_eq!(target.unwrap().addrs().unwrap(), [by_number]);
    }
    assert_eq!("[fe80::1%lo]:80".parse(), Ok(Addr::Inet(by_number)));
    let error = "[fe80::1%nowhere]:80".to_target().unwrap_err();
    assert!(error.to_string().contains("fe80::1%nowhere"), "{error}");
}

#[test]
fn async_sockets_keep_the_scope() {
    within(|| {
        aio::block_on(async {
            let listener = aio::TcpListener::bind("[fe80::1%lo]:0").unwrap();
            let addr = listener.local_addr().unwrap();
            assert_eq!(scope_of(addr), LO);
            for target in [text(addr, "lo"), text(addr, "1"), addr.to_string()] {
                let client = aio::TcpStream::connect(target).await.unwrap();
                assert_eq!(client.peer_addr().unwrap(), addr);
                let (server, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                assert_eq!(scope_of(server.peer_addr().unwrap()), LO);
            }
            let local = SocketAddrV6::new("fe80::1".parse().unwrap(), 0, 0, LO).into();
            let options = ConnectOptions {
                local_addr: Some(local),
                ..ConnectOptions::default()
            };
            aio::TcpStream::connect_with(addr, options).await.unwrap();

            let server = aio::UdpSocket::bind("[fe80::1%lo]:0").unwrap();
            let client = aio::UdpSocket::bind("[fe80::1%lo]:0").unwrap();
            let to = server.local_addr().unwrap();
            client.send_to(b"hello", to).await.unwrap();
            let mut buf = [0; 16];
            let (_, from) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!(scope_of(from), LO);
            server.send_to(b"answer", from).await.unwrap();
            client.recv_from(&mut buf).await.unwrap();
        });
    });
}

#[test]
fn green_sockets_keep_the_scope() {
    within(|| {
        green::run(|| {
            let listener = green::net::TcpListener::bind("[fe80::1%lo]:0").unwrap();
            let addr = listener.local_addr().unwrap();
            assert_eq!(scope_of(addr), LO);
            for target in [text(addr, "lo"), text(addr, "1"), addr.to_string()] {
                let client = green::net::TcpStream::connect(target).unwrap();
                let (_, peer) = listener.accept().unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
            }
            let server = green::net::UdpSocket::bind("[fe80::1%lo]:0").unwrap();
            let client = green::net::UdpSocket::bind("[fe80::1%lo]:0").unwrap();
            client
                .send_to(b"hello", server.local_addr().unwrap())
                .unwrap();
            let mut buf = [0; 16];
            let (_, from) = server.recv_from(&mut buf).unwrap();
            server.send_to(b"answer", from).unwrap();
            client.recv_from(&mut buf).unwrap();
        })
        .unwrap();
    });
}

#[test]
fn callback_sockets_keep_the_scope() {
    within(|| {
        let events = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&events);
        callback::run(move || {
            let addr: SocketAddr = "[fe80::1%1]:0".parse().unwrap();
            let accepted = Rc::clone(&log);
            let server = callback::net::create_server(move |socket| {
                let peer = socket.remote_addr().unwrap().inet().unwrap();
                accepted
                    .borrow_mut()
                    .push(format!("accepted {}", scope_of(peer)));
                socket.end();
            });
            server.listen(addr)?.on_listening(move |server| {
                let addr = server.address().unwrap().inet().unwrap();
                assert_eq!(scope_of(addr), LO);
                callback::net::connect(addr)?.resume();
                callback::net::connect(("fe80::1%lo", addr.port()))?.resume();
                let options = callback::net::ConnectOptions {
                    local_address: Some("fe80::1".parse().unwrap()),
                    ..Default::default()
                };
                let last = callback::net::connect_with(addr, options)?;
                last.resume().on_close(move |_, _| {
                    server.close();
                });
                Ok::<_, callback::net::Error>(())
            });
            Ok::<_, callback::net::Error>(())
        })
        .unwrap();
        assert_eq!(*events.borrow(), ["accepted 1"; 3]);
    });
}

#[test]
fn callback_datagrams_are_answered_at_their_senders_address() {
    use callback::dgram::{Kind, create_socket};
    within(|| {
        let answers = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&answers);
        callback::run(move || {
            let server = create_socket(Kind::Udp6);
            server.on_message(|server, bytes, from| server.send_to(bytes, from.addr));
            server.bind(("fe80::1%lo", 0))?;
            server.on_listening(move |server| {
                let client = create_socket(Kind::Udp6);
                let log = Rc::clone(&log);
                let open = server.clone();
                client.on_message(move |client, bytes, from| {
                    log.borrow_mut().push((bytes.to_vec(), scope_of(from.addr)));
                    client.close()?;
                    open.close()
                });
                client.send_to(b"hello", server.address()?)
            });
            Ok::<_, callback::net::Error>(())
        })
        .unwrap();
        assert_eq!(*answers.borrow(), [(b"hello".to_vec(), LO)]);
    });
}

#[test]
fn addresses_of_the_net_crate_keep_the_scope() {
    within(|| {
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.block_on(async {
            let addr: SocketAddr = "[fe80::1%1]:0".parse().unwrap();
            let listener = TcpListener::bind(addr).unwrap();
            let addr = listener.local_addr().unwrap();
            let client = TcpStream::connect([addr, addr]).await.unwrap();
            let (_, peer) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            assert_eq!(scope_of(peer), LO);
        });
    });
}
