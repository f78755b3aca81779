//! Addresses, several listeners, and several styles.

use crate::harness::{LONG, expect_echo, pair};
use oneloop::cluster::cluster;
use oneloop::{callback, green};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

#[test]
fn port_0_is_the_same_port_for_all_loops_and_another_one_for_a_second_listener() {
    let [(_first, one), (_second, two)] = pair();
    let addr = "127.0.0.1:0";
    let [a, b] = [one.listen(addr).unwrap(), one.listen(addr).unwrap()];
    let [c, d] = [two.listen(addr).unwrap(), two.listen(addr).unwrap()];
    assert_eq!(a.local_addr(), c.local_addr());
    assert_eq!(b.local_addr(), d.local_addr());
    assert_ne!(a.local_addr(), b.local_addr());
}

#[test]
fn an_address_of_another_program_is_in_use_even_if_that_shares_its_port() {
    let [(_first, one), _] = pair();
    let [(_other, two), _] = pair();
    let addr = one.listen("127.0.0.1:0").unwrap().local_addr().to_string();
    let _listens = one.listen(&addr).unwrap();
    let refused = two.listen(&addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    // It can be tried again.
    assert_eq!(two.listen(&addr).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn an_accept_that_lost_a_race_keeps_no_loop_alive() {
    let [(mut first, one), _] = pair();
    let listener = one.listen("127.0.0.1:0").unwrap();
    first.block_on(async {
        let accept = oneloop::aio::timeout(Duration::from_millis(1), listener.accept());
        assert!(accept.await.is_err());
    });
    assert!(!first.is_alive());
    first.run().unwrap();
}

#[test]
fn a_text_that_is_no_address_is_invalid_input() {
    let [(_first, one), _] = pair();
    let refused = one.listen("nowhere").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

/// Runs a cluster of two loops with this code for the connections, and asks it for an echo.
fn expect_served(
    serve: impl Fn(oneloop::cluster::Connection) + Send + Sync + Clone + 'static,
    enter: impl Fn() -> Option<callback::Entered> + Send + Sync + Copy + 'static,
) {
    let (listens, all_listen) = mpsc::channel();
    let listens = Mutex::new(listens);
    let running = thread::spawn(move || {
        cluster(2, move |member| {
            let (listens, serve) = (listens.lock().unwrap().clone(), serve.clone());
            async move {
                let _entered = enter();
                let listener = member.listen("127.0.0.1:0")?;
                let addr = listener.local_addr().inet().unwrap();
                listens.send((addr, member.cluster().clone())).unwrap();
                while let Some(connection) = listener.accept().await? {
                    serve(connection);
                }
                member.until_idle().await; // while callbacks still run
                io::Result::Ok(())
            }
        })
    });
    let (addr, cluster) = all_listen.recv().unwrap();
    all_listen.recv().unwrap();
    let clients: Vec<_> = (0..8).map(|_| TcpStream::connect(addr).unwrap()).collect();
    clients.iter().for_each(expect_echo);
    drop(clients);
    cluster.stop(LONG);
    running.join().unwrap().unwrap();
}

#[test]
fn green_threads_serve_connections_of_a_cluster() {
    let serve = |connection: oneloop::cluster::Connection| {
        green::spawn(move || {
            let mut stream = green::net::Stream::from(connection);
            let mut byte = [0];
            while stream.read(&mut byte).unwrap() > 0 {
                stream.write_all(&byte).unwrap();
            }
        });
    };
    expect_served(serve, || None);
}

#[test]
fn callbacks_serve_connections_of_a_cluster() {
    use oneloop::callback::net::{Socket, SocketOptions};
    let serve = |connection: oneloop::cluster::Connection| {
        let (socket, _peer, count) = connection.into_parts();
        let socket = Socket::from_connected(socket, SocketOptions::default());
        socket.on_data(|socket, chunk| {
            socket.write(chunk);
        });
        let count = std::cell::Cell::new(Some(count));
        socket.on_close(move |_, _| drop(count.take()));
    };
    expect_served(serve, || Some(callback::enter(&oneloop::Handle::current())));
}
