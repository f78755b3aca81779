//! How a cluster ends.

use crate::harness::{Echoing, LONG, expect_echo};
use oneloop::aio::sleep;
use oneloop::cluster::{Cluster, cluster};
use oneloop::core::Direction;
use std::future::{pending, poll_fn};
use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
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

/// A connection to a Unix socket wakes one of the loops that sleep. Here that one ends instead of
/// accepting.
#[test]
fn a_connection_for_which_a_loop_was_woken_that_ends_goes_to_another_loop() {
    let name = format!("unix:@oneloop-woken-{}", std::process::id());
    let addr = SocketAddr::from_abstract_name(&name.as_bytes()[6..]).unwrap();
    let (polled, has_ended) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let polls = Arc::clone(&polled);
    let server = thread::spawn(move || {
        cluster(2, move |member| {
            let (name, polls, has_ended) = (name.clone(), polls.clone(), has_ended.clone());
            async move {
                let listener = member.listen(&name)?;
                let accepted = poll_fn(|cx| {
                    let own = listener.listener();
                    let is_woken = own.source().poll_ready(cx, Direction::Read).is_ready();
                    if is_woken && !has_ended.swap(true, Ordering::SeqCst) {
                        return Poll::Ready(Ok(None));
                    }
                    let accepted = listener.poll_accept(cx);
                    polls.fetch_add(1, Ordering::SeqCst);
                    accepted
                });
                if let Some(connection) = accepted.await? {
                    connection.write_all(b"served").await?;
                    member.stop(Duration::from_secs(60));
                }
                io::Result::Ok(())
            }
        })
    });
    while polled.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    let mut answer = String::new();
    let mut client = UnixStream::connect_addr(&addr).unwrap();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "served");
    server.join().unwrap().unwrap();
}
