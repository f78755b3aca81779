//! How connections are spread.

use crate::harness::{Echoing, expect_echo, raise_fds};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

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
