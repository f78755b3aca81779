//! Name look-ups never block the loop, and their addresses are connected to and bound.

use crate::harness::MS;
use oneloop::Handle;
use oneloop::aio::{self, ConnectOptions, ListenOptions, TcpListener, TcpStream, UdpSocket};
use oneloop::aio::{block_on, sleep, spawn};
use oneloop::callback::{self, dns};
use oneloop::core::{Class, PoolOptions};
use oneloop::green;
use oneloop::net::{self, Family, ResolveError, ResolveOptions, ToTarget};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::process::Command;
use std::rc::Rc;

/// The variable that tells a test's child process that it is inside the network.
const INSIDE: &str = "ONELOOP_TEST_INSIDE";

/// Runs a test in a network namespace in which the only name server is 127.0.0.1:53. Returns true
/// in the child process that is inside.
fn is_inside_own_network(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let resolv = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c"])
        .arg(
            "ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && \
             mount --bind \"$2\" /etc/nsswitch.conf || exit 77; exec \"$3\" --exact \"$4\" --nocapture",
        )
        .arg("sh")
        .arg(file("resolv.conf", resolv))
        .arg(file("nsswitch.conf", "hosts: dns\n"))
        .arg(env::current_exe().unwrap())
        .arg(format!("names::{test}"))
        .env(INSIDE, "1")
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) => output,
        other => {
            eprintln!("skipped: no network of one's own on this machine: {other:?}");
            return false;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        assert!(text.contains("1 passed"), "{text}");
    } else if text.is_empty() {
        eprintln!("skipped: unshare(1) may not: {output:?}");
    } else {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    false
}

/// The name in a DNS query, and the offset at which its question ends.
fn question(message: &[u8]) -> (String, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] > 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), at + 5)
}

const TYPE_A: u8 = 1;

/// The answer to a DNS query: `::1` for AAAA, `127.0.0.1` for A.
fn loopback_answer(message: &[u8]) -> Vec<u8> {
    let (_, end) = question(message);
    let (kind, data): (u8, &[u8]) = match message[end - 3] {
        TYPE_A => (TYPE_A, &[127, 0, 0, 1]),
        other => (other, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    };
    let mut answer = message[..end].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
    answer.extend(data);
    answer
}

/// Starts a name server that answers only names with the prefix, and records all queries. It is
/// bound when this returns.
fn serve_names(answers: &'static str, asked: Rc<RefCell<BTreeSet<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    spawn(answer_names(socket, answers, asked));
}

async fn answer_names(
    socket: UdpSocket,
    answers: &'static str,
    asked: Rc<RefCell<BTreeSet<String>>>,
) {
    let mut buf = [0; 512];
    loop {
        let (datagram, from) = socket.recv_from(&mut buf).await.unwrap();
        let message = &buf[..datagram.bytes];
        let (name, _) = question(message);
        if name.starts_with(answers) {
            socket
                .send_to(&loopback_answer(message), from)
                .await
                .unwrap();
        }
        asked.borrow_mut().insert(name);
    }
}

#[test]
fn look_ups_that_hang_delay_no_file_and_no_timer() {
    if !is_inside_own_network("look_ups_that_hang_delay_no_file_and_no_timer") {
        return;
    }
    block_on(async {
        let asked = Rc::<RefCell<BTreeSet<String>>>::default();
        serve_names("answered.", Rc::clone(&asked));
        let handle = Handle::current();
        let threads = PoolOptions::default().dns_threads_max;
        let look_up = |number| {
            let name = format!("slow-{number}.test");
            spawn(async move { net::resolve(&name, 80).await })
        };
        // Every thread for names hangs, and another name waits in the queue.
        let slow: Vec<_> = (0..=threads).map(look_up).collect();
        // Equal look-ups share the job, and take no thread.
        let same: Vec<_> = (0..100).map(|_| look_up(0)).collect();
        while asked.borrow().len() < threads {
            sleep(MS).await;
        }
        let start = handle.now();
        for _ in 0..100 {
            let read = handle.offload_to(Class::Fs, || fs::read("/proc/self/comm"));
            assert!(!read.await.unwrap().unwrap().is_empty());
        }
        sleep(10 * MS).await;
        let took = handle.now() - start;
        assert!(took < 2000 * MS, "a look-up takes 30 s here: {took:?}");

        // An address needs no thread, and a timeout does not wait for one.
        net::resolve("127.0.0.1", 80).await.unwrap();
        let soon = ResolveOptions {
            timeout: Some(20 * MS),
            ..ResolveOptions::default()
        };
        let error = net::resolve_with("slow-0.test", 80, soon).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = "cannot look up 'slow-0.test': no answer within 20ms";
        assert_eq!(error.to_string(), text);

        assert!(
            !slow
                .iter()
                .chain(&same)
                .any(|look_up| look_up.is_finished())
        );
        assert_eq!(asked.borrow().len(), threads);
    }); // dropping the loop does not wait for the threads
}

#[test]
fn a_name_with_two_families_connects_to_the_family_that_listens() {
    if !is_inside_own_network("a_name_with_two_families_connects_to_the_family_that_listens") {
        return;
    }
    block_on(async {
        let asked = Rc::<RefCell<BTreeSet<String>>>::default();
        serve_names("two.", asked);
        let addrs = net::resolve("two.test", 80).await.unwrap();
        let both = ["[::1]:80", "127.0.0.1:80"].map(|addr| addr.parse().unwrap());
        assert_eq!(addrs, both, "IPv6 comes first");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(("two.test", port)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());

        let only_v6 = ConnectOptions {
            family: Some(Family::V6),
            ..ConnectOptions::default()
        };
        let refused = TcpStream::connect_with(("two.test", port), only_v6).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = format!(
            "cannot connect to 'two.test', port {port}: \
             [::1]:{port}: Connection refused (os error 111)"
        );
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn each_style_connects_by_name() {
    let connected = block_on(async {
        let listener = TcpListener::bind_name("localhost:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let target = ("localhost", addr.port());
        let asynchronous = TcpStream::connect(target).await.unwrap();
        let green = green::spawn(move || {
            let stream = green::net::TcpStream::connect(target).unwrap();
            stream.peer_addr().unwrap()
        });
        [asynchronous.peer_addr().unwrap(), green.await.unwrap()].map(|peer| peer == addr)
    });
    assert_eq!(connected, [true, true]);
    let found = Rc::<RefCell<Vec<String>>>::default();
    let received = Rc::clone(&found);
    callback::run(move || {
        let options = dns::LookupOptions::default();
        let all = Rc::clone(&received);
        dns::lookup_all("localhost", options, move |found| {
            let is_loopback = found.unwrap().iter().all(|ip| ip.is_loopback());
            all.borrow_mut()
                .push(format!("all loopback: {is_loopback}"));
        });
        let v6 = dns::LookupOptions {
            family: Some(net::Family::V6),
            ..options
        };
        dns::lookup("127.0.0.1", v6, move |found| {
            received
                .borrow_mut()
                .push(format!("literal: {}", found.unwrap()));
        });
    })
    .unwrap();
    assert_eq!(
        *found.borrow(),
        ["literal: 127.0.0.1", "all loopback: true"]
    );
}

#[test]
fn a_failed_look_up_names_the_host() {
    block_on(async {
        let error = TcpStream::connect("no-such-name.invalid:80").await;
        let error = error.unwrap_err();
        let inside = error.get_ref().unwrap().downcast_ref::<ResolveError>();
        assert_eq!(inside.unwrap().host(), "no-such-name.invalid");
        let text = error.to_string();
        assert!(
            text.starts_with("cannot look up 'no-such-name.invalid': "),
            "{text}"
        );
    });
}

#[test]
fn a_star_is_no_host_and_the_error_names_the_address_that_is_meant() {
    block_on(async {
        let errors = [
            TcpListener::bind("*:8080").unwrap_err(),
            TcpListener::bind(("*", 8080)).unwrap_err(),
            TcpListener::bind_name("*:8080").await.unwrap_err(),
            TcpStream::connect("*:8080").await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("write 0.0.0.0:8080"), "{error}");
        }
        let error = "*:8080".parse::<net::Addr>().unwrap_err();
        assert!(error.to_string().contains("write 0.0.0.0:8080"), "{error}");
    });
}

#[test]
fn an_ipv6_address_without_brackets_has_its_port_after_the_last_colon_as_in_the_standard_library() {
    let addr = "[::1]:80".parse().unwrap();
    assert_eq!("::1:80".to_target().unwrap(), net::Target::Addr(addr));
    let std_addrs = std::net::ToSocketAddrs::to_socket_addrs("::1:80").unwrap();
    assert_eq!(std_addrs.collect::<Vec<_>>(), [addr]);
}

#[test]
fn a_unix_path_that_is_a_number_is_no_port_of_a_host() {
    let error = "unix:80".to_target().unwrap_err();
    assert!(error.to_string().contains("of a Unix socket"), "{error}");
    let host = net::Target::Name("unix".to_owned(), 80);
    assert_eq!(("unix", 80).to_target().unwrap(), host);
}

#[test]
fn async_code_binds_no_name_without_waiting() {
    block_on(async {
        let error = TcpListener::bind("localhost:0").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("bind_name"), "{error}");
        let small = ListenOptions {
            backlog: 1,
            ..ListenOptions::default()
        };
        let listener = TcpListener::bind_name_with("localhost:0", small).await;
        assert!(listener.unwrap().local_addr().unwrap().ip().is_loopback());
        let socket = UdpSocket::bind_name("localhost:0").await.unwrap();
        assert!(socket.local_addr().unwrap().ip().is_loopback());
        // The first of several addresses that can be bound.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let _kept = aio::TcpListener::bind(taken);
        let free = "127.0.0.2:0".parse().unwrap();
        let second = TcpListener::bind([taken, free]);
        assert!(second.is_ok());
    });
}
