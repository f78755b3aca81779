//! How a cluster ends.

use crate::harness::{Echoing, LONG, expect_echo};
use oneloop::aio::sleep;
use oneloop::cluster::{Cluster, cluster};
use std::future::pending;
use std::io::{self, Read};
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_cluster_ends_when_all_loops_have_ended() {
    let ended = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&ended);
    cluster(3, move |member| {
        let (ended, own) = (Arc::clone(&counts), Rc::new(member.id()));
        async move {
            sleep(Duration::from_millis(*own as u64)).await;
            ended.fetch_add(1, Ordering::Relaxed);
            io::Result::Ok(())
        }
    })
    .unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), 3);
}

#[test]
fn an_error_of_one_loop_ends_all_and_is_returned() {
    for failing in 0..3 {
        let failed = cluster(3, move |member| async move {
            if member.id() == failing {
                return Err(io::Error::other(format!("loop {failing} failed")));
            }
            pending().await
        });
        assert_eq!(
            failed.unwrap_err().to_string(),
            format!("loop {failing} failed")
        );
    }
}

#[test]
fn a_panic_of_one_loop_ends_all_and_continues_with_its_message() {
    for failing in 0..3 {
        for in_future in [false, true] {
            let payload = catch_unwind(|| {
                cluster(3, move |member| {
                    let fails = member.id() == failing;
                    assert!(!fails || in_future, "loop {failing} panics");
                    async move {
                        assert!(!fails, "loop {failing} panics");
                        pending::<io::Result<()>>().await
                    }
                })
            });
            let payload = payload.unwrap_err();
            let message = payload.downcast_ref::<String>().unwrap();
            assert_eq!(*message, format!("loop {failing} panics"));
        }
    }
}

#[test]
fn a_panic_of_a_task_ends_that_task_only() {
    cluster(2, |member| async move {
        let task = oneloop::aio::spawn(async { panic!("a task of a cluster panics: expected") });
        assert!(task.await.is_err());
        member.stop(LONG);
        member.shutdown().requested().await;
        io::Result::Ok(())
    })
    .unwrap();
}

#[test]
fn a_stop_lets_connections_end() {
    let echoing = Echoing::start(2, "127.0.0.1:0");
    let clients: Vec<_> = (0..4).map(|_| echoing.connect()).collect();
    clients.iter().for_each(expect_echo);
    echoing.cluster.stop(LONG);
    clients.iter().for_each(expect_echo);
    drop(clients);
    echoing.stop();
}

#[test]
fn what_is_left_when_the_drain_is_over_is_dropped() {
    for drain in [Duration::ZERO, Duration::from_millis(50)] {
        let echoing = Echoing::start(2, "127.0.0.1:0");
        let mut clients: Vec<_> = (0..4).map(|_| echoing.connect()).collect();
        clients.iter().for_each(expect_echo);
        echoing.cluster.stop(LONG);
        echoing.cluster.stop(drain); // a second call shortens it
        echoing.stop();
        for client in &mut clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn a_loop_that_waits_for_nothing_else_is_notified_of_a_stop() {
    cluster(2, |member| async move {
        if member.id() == 1 {
            member.stop(LONG);
        }
        member.shutdown().requested().await;
        io::Result::Ok(())
    })
    .unwrap();
}

#[test]
fn a_cluster_without_loops_is_refused() {
    let payload = catch_unwind(|| Cluster::new(0)).unwrap_err();
    assert!(
        payload
            .downcast_ref::<&str>()
            .unwrap()
            .contains("at least one loop")
    );
}
