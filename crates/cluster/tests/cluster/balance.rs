//! How connections are spread.

use crate::harness::{Echoing, LONG, expect_echo, raise_fds};
use oneloop::aio::spawn;
use oneloop::sync::Semaphore;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

#[track_caller]
fn expect_balanced(counts: &[usize], connections: usize) {
    assert_eq!(counts.iter().sum::<usize>(), connections);
    let mean = connections as f64 / counts.len() as f64;
    let max = *counts.iter().max().unwrap() as f64;
    assert!(max <= 1.15 * mean, "{counts:?}");
}

#[test]
fn of_64_connections_on_8_loops_the_busiest_has_at_most_1_15_times_the_mean() {
    let echoing = Echoing::start(8, "127.0.0.1:0");
    let clients: Vec<_> = (0..64).map(|_| echoing.connect()).collect();
    clients.iter().for_each(expect_echo);
    expect_balanced(&echoing.cluster.connections(), 64);
    drop(clients);
    echoing.stop();
}

#[test]
fn a_burst_of_64_connections_on_8_loops_is_spread_as_evenly() {
    let echoing = Echoing::start(8, "127.0.0.1:0");
    for _ in 0..10 {
        let at_once = Barrier::new(64);
        let clients: Vec<_> = thread::scope(|scope| {
            let connect = || {
                at_once.wait();
                let client = echoing.connect();
                expect_echo(&client);
                client
            };
            let clients: Vec<_> = (0..64).map(|_| scope.spawn(connect)).collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        });
        expect_balanced(&echoing.cluster.connections(), 64);
        drop(clients);
        while echoing.cluster.connections().iter().sum::<usize>() > 0 {
            thread::yield_now();
        }
    }
    echoing.stop();
}

#[test]
fn of_1000_connections_on_8_loops_the_busiest_has_at_most_1_15_times_the_mean() {
    if !raise_fds(4096) {
        println!("skipped: the limit of open files is too low");
        return;
    }
    let echoing = Echoing::start(8, "127.0.0.1:0");
    let clients: Vec<_> = (0..1000).map(|_| echoing.connect()).collect();
    clients.iter().for_each(expect_echo);
    expect_balanced(&echoing.cluster.connections(), 1000);
    drop(clients);
    echoing.stop();
}

#[test]
fn connections_to_a_unix_socket_are_balanced_as_well() {
    let name = format!("unix:@oneloop-cluster-{}", std::process::id());
    let echoing = Echoing::start(8, &name);
    let path = SocketAddr::from_abstract_name(&name.as_bytes()[6..]).unwrap();
    let clients: Vec<_> = (0..64)
        .map(|_| UnixStream::connect_addr(&path).unwrap())
        .collect();
    clients.iter().for_each(expect_echo);
    expect_balanced(&echoing.cluster.connections(), 64);
    drop(clients);
    echoing.stop();
}

#[test]
fn connections_that_have_ended_count_no_more() {
    let echoing = Echoing::start(4, "127.0.0.1:0");
    for _ in 0..5 {
        let clients: Vec<_> = (0..16).map(|_| echoing.connect()).collect();
        clients.iter().for_each(expect_echo);
        drop(clients);
    }
    echoing.stop(); // asserts that the counts are 0
}

#[test]
fn a_share_of_a_limit_on_each_loop_is_a_limit_for_all() {
    const MAX: usize = 8;
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    let (listens, addr) = mpsc::channel();
    let listens = Mutex::new(listens);
    let server = thread::spawn(move || {
        oneloop::cluster(4, move |member| {
            let listens = listens.lock().unwrap().clone();
            async move {
                let listener = member.listen("127.0.0.1:0")?;
                let name = (listener.local_addr().clone(), member.cluster().clone());
                listens.send(name).unwrap();
                let permits = Semaphore::new(MAX / member.loops());
                while let Some(connection) = listener.accept().await? {
                    let permit = permits.acquire().await;
                    spawn(async move {
                        let _permit = permit;
                        assert!(SERVED.fetch_add(1, Ordering::SeqCst) < MAX);
                        connection.write_all(b"x").await.unwrap();
                        let _ = connection.read_all(8).await;
                        SERVED.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                io::Result::Ok(())
            }
        })
    });
    let names: Vec<_> = (0..4).map(|_| addr.recv().unwrap()).collect();
    let (addr, cluster) = &names[0];
    let connect = |_| TcpStream::connect(addr.inet().unwrap()).unwrap();
    let clients: Vec<_> = (0..40).map(connect).collect();
    // Each client is served once others have left: none is forgotten.
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || client.read_exact(&mut [0]).unwrap());
        }
    });
    cluster.stop(LONG);
    server.join().unwrap().unwrap();
    assert_eq!(SERVED.load(Ordering::SeqCst), 0);
}
