//! What a request costs in system calls.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use oneloop::aio::{self, TcpListener, spawn};
use oneloop::sync::Event;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::rc::Rc;
use std::{env, net};

/// The variable that says how many rounds of requests to send.
const ROUNDS: &str = "ONELOOP_TEST_ROUNDS";
const CONNECTIONS: usize = 64;

/// In each round, a request arrives on each connection before the loop polls, as it does under load.
/// The clients read and write by `read(2)` and `write(2)`, and the server does not.
#[test]
fn requests_on_kept_connections_are_answered() {
    let rounds = env::var(ROUNDS).map_or(1, |rounds| rounds.parse().unwrap());
    aio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked, all_asked) = (Rc::new(Cell::new(0)), Event::new());
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = net::TcpStream::connect(addr).unwrap();
            clients.push(File::from(OwnedFd::from(client)));
            let (stream, _) = listener.accept().await.unwrap();
            let (asked, all_asked) = (Rc::clone(&asked), all_asked.clone());
            let service = service_fn(move |_request| {
                asked.set(asked.get() + 1);
                if asked.get() % CONNECTIONS == 0 {
                    all_asked.set();
                }
                let response = Response::new(Full::new(Bytes::from_static(b"hello\n")));
                std::future::ready(Ok::<_, Infallible>(response))
            });
            spawn(http1::Builder::new().serve_connection(stream, service));
        }
        for _ in 0..rounds {
            all_asked.clear();
            for client in &mut clients {
                client
                    .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    .unwrap();
            }
            all_asked.until_set().await;
            for client in &mut clients {
                let mut answer = [0; 1024];
                let count = client.read(&mut answer).unwrap();
                assert!(answer[..count].ends_with(b"\r\n\r\nhello\n"));
            }
        }
    });
}

/// The system calls of the test above by name, but for those of its clients.
fn calls(rounds: usize) -> Option<BTreeMap<String, usize>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=!read,write,futex", "-o"])
        .arg(log.path())
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "system_calls::requests_on_kept_connections_are_answered",
        ])
        .env(ROUNDS, rounds.to_string())
        .output();
    match strace {
        Ok(output) if output.status.success() => {
            let mut calls = BTreeMap::new();
            for line in std::fs::read_to_string(log.path()).unwrap().lines() {
                let call = line.split_whitespace().nth(1).unwrap_or_default();
                let name = call.split('(').next().unwrap_or_default().to_owned();
                *calls.entry(name).or_default() += 1;
            }
            Some(calls)
        }
        other => {
            eprintln!("skipped: no strace here, or it may not trace: {other:?}");
            None
        }
    }
}

#[test]
fn a_request_on_a_kept_connection_costs_two_system_calls_and_its_share_of_a_poll() {
    const MORE: usize = 50;
    let (Some(few), Some(mut many)) = (calls(10), calls(10 + MORE)) else {
        return;
    };
    for (name, count) in few {
        let more = many.remove(&name).unwrap_or_default().saturating_sub(count);
        if more > 0 {
            many.insert(name, more);
        }
    }
    println!("{many:?} for {} requests", MORE * CONNECTIONS);
    let of = |name: &str| many.get(name).copied().unwrap_or_default();
    let requests = MORE * CONNECTIONS;
    assert_eq!((of("recvfrom"), of("sendmsg")), (requests, requests));
    let each = many.values().sum::<usize>() as f64 / requests as f64;
    println!("{each} system calls a request");
    assert!(each <= 2.03, "{each}");
}
