//! `enter`: the runtime is beside the loop, on a second thread.

use crate::{MS, NeedsContext, message_of, pass_messages};
use oneloop::aio::{self, TcpListener, race, sleep, spawn};
use oneloop::{EventLoop, JoinHandle};
use oneloop_tokio::enter;
use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_future_uses_tokios_timers_tasks_and_sockets_beside_the_loops_own() {
    aio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (stream, _peer) = listener.accept().await?;
            let chunk = stream.read_chunk().await?.unwrap();
            stream.write_all(&chunk).await
        });
        let here = thread::current().id();
        let shared = Rc::new(Cell::new(0)); // need not be `Send`
        let counted = Rc::clone(&shared);
        let (text, there) = enter(async move {
            tokio::time::sleep(MS).await;
            sleep(MS).await;
            counted.set(counted.get() + 1);
            let there = tokio::spawn(async { thread::current().id() })
                .await
                .unwrap();
            let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut text = [0; 5];
            stream.read_exact(&mut text).await.unwrap();
            (text, there)
        })
        .await;
        assert_eq!((&text, shared.get()), (b"hello", 1));
        assert_ne!(there, here, "tokio's tasks run on its thread");
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_future_keeps_the_loop_alive_while_it_waits_for_tokio_and_no_longer() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let slept = handle.spawn(enter(async { tokio::time::sleep(20 * MS).await }));
    let dropped = handle.spawn(async move {
        let never = enter(std::future::pending::<()>());
        race(never, sleep(MS)).await
    });
    event_loop.run().unwrap();
    assert!(slept.is_finished() && dropped.is_finished());
}

#[test]
fn messages_pass_between_a_task_of_tokio_and_one_of_the_loop() {
    aio::block_on(enter(pass_messages(1000)));
}

#[test]
fn a_future_that_is_dropped_in_its_wait_drops_in_the_context() {
    aio::block_on(async {
        let waits = enter(async {
            let _needs = NeedsContext;
            tokio::time::sleep(1000 * MS).await;
        });
        race(waits, sleep(MS)).await;
        let unpolled = NeedsContext;
        drop(enter(async move { drop(unpolled) }));
    });
}

#[test]
fn a_panic_without_a_context_names_the_function_that_has_one() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let reports = Rc::new(Cell::new(String::new()));
    let noted = Rc::clone(&reports);
    handle.on_unhandled(move |unhandled| noted.set(unhandled.to_string()));
    drop(handle.spawn(async { tokio::time::sleep(MS).await }));
    let joined: JoinHandle<()> = handle.spawn(async {
        tokio::spawn(async {});
    });
    let error = event_loop.block_on(joined).unwrap_err().to_string();
    let socket = message_of(|| event_loop.block_on(tokio::net::TcpStream::connect("127.0.0.1:1")));
    for message in [error, socket, reports.take()] {
        assert!(
            message.contains("Tokio 1.x") && message.contains("oneloop_tokio::enter(future)"),
            "{message}"
        );
        assert_eq!(
            message.matches("oneloop_tokio::enter").count(),
            1,
            "{message}"
        );
    }
}
