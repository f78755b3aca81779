//! `block_on`: the runtime is around the loop, on one thread.

use crate::{MS, NeedsContext, message_of, pass_messages};
use oneloop::aio::{self, TcpListener, TcpStream, sleep, spawn};
use oneloop::sync::Queue;
use oneloop_tokio::{block_on, enter};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn sleeps_of_both_end_and_none_ends_early() {
    let start = Instant::now();
    let mut ended = block_on(async {
        let queue = Queue::unbounded();
        for number in [9_u32, 1, 5, 3, 7] {
            let (ours, theirs) = (queue.clone(), queue.clone());
            spawn(async move {
                sleep(20 * number * MS).await;
                ours.put(number).await;
            });
            spawn(async move {
                tokio::time::sleep(20 * (number + 1) * MS).await;
                theirs.put(number + 1).await;
            });
        }
        let mut ended = Vec::new();
        while ended.len() < 10 {
            ended.push(queue.get().await);
        }
        ended
    });
    ended.sort_unstable();
    assert_eq!(ended, (1..=10).collect::<Vec<_>>());
    assert!(start.elapsed() >= 200 * MS);
}

#[test]
fn all_tasks_run_on_one_thread() {
    let here = thread::current().id();
    block_on(async move {
        let shared = Rc::new(());
        let ours = spawn(async { thread::current().id() });
        let theirs = tokio::spawn(async { thread::current().id() });
        let local = tokio::task::spawn_local(async move {
            drop(shared);
            thread::current().id()
        });
        assert_eq!(ours.await.unwrap(), here);
        assert_eq!(theirs.await.unwrap(), here);
        assert_eq!(local.await.unwrap(), here);
    });
}

#[test]
fn messages_pass_between_a_task_of_tokio_and_one_of_the_loop() {
    block_on(pass_messages(10_000));
}

#[test]
fn a_loop_with_many_connections_misses_no_event_of_theirs() {
    const CLIENTS: usize = 100;
    const ROUNDS: usize = 20;
    let served = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        spawn(async move {
            loop {
                let (stream, _peer) = listener.accept().await?;
                spawn(async move {
                    while let Some(chunk) = stream.read_chunk().await? {
                        stream.write_all(&chunk).await?;
                    }
                    io::Result::Ok(())
                });
            }
            #[expect(unreachable_code, reason = "names the type of the errors")]
            io::Result::Ok(())
        });
        let ours = (0..CLIENTS).map(|_| {
            spawn(async move {
                let stream = TcpStream::connect(addr).await?;
                for _ in 0..ROUNDS {
                    stream.write_all(b"ping").await?;
                    stream.read_exact(&mut [0; 4]).await?;
                }
                io::Result::Ok(ROUNDS)
            })
        });
        let ours: Vec<_> = ours.collect();
        let theirs = (0..CLIENTS).map(|_| {
            tokio::spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(addr).await?;
                for _ in 0..ROUNDS {
                    stream.write_all(b"ping").await?;
                    stream.read_exact(&mut [0; 4]).await?;
                }
                io::Result::Ok(ROUNDS)
            })
        });
        let theirs: Vec<_> = theirs.collect();
        let mut served = 0;
        for client in ours {
            served += client.await.unwrap()?;
        }
        for client in theirs {
            served += client.await.unwrap()?;
        }
        io::Result::Ok(served)
    });
    assert_eq!(served.unwrap(), 2 * CLIENTS * ROUNDS);
}

#[test]
fn jobs_and_other_threads_wake_the_loop() {
    let answer = block_on(async {
        let job = aio::offload(|| {
            thread::sleep(5 * MS);
            20
        });
        let remote = oneloop::Handle::current().remote();
        let queue = Queue::unbounded();
        let distant = queue.remote();
        thread::spawn(move || {
            distant.run(|queue| queue.try_put(22).unwrap()).unwrap();
            drop(remote);
        });
        job.await.unwrap() + queue.get().await
    });
    assert_eq!(answer, 42);
}

#[test]
fn the_tasks_that_are_left_drop_in_the_context() {
    block_on(async {
        let waits = async {
            let _needs = NeedsContext;
            pending::<()>().await;
        };
        spawn(waits);
        spawn(async {
            let _needs = NeedsContext;
            sleep(Duration::MAX).await;
        });
        oneloop::aio::yield_now().await;
    });
}

#[test]
fn enter_uses_the_context_that_is_there() {
    let here = thread::current().id();
    let there = block_on(async {
        let theirs = enter(async { tokio::spawn(async { thread::current().id() }).await });
        theirs.await.unwrap()
    });
    assert_eq!(there, here);
}

#[test]
fn a_panic_of_the_future_is_the_callers() {
    let message = message_of(|| {
        block_on(async {
            sleep(MS).await;
            panic!("on purpose");
        })
    });
    assert_eq!(message, "on purpose");
}

#[test]
fn a_call_inside_of_a_running_loop_or_runtime_panics() {
    let message = message_of(|| aio::block_on(async { block_on(async {}) }));
    assert!(
        message.contains("oneloop_tokio::block_on at crates/tokio/tests/contexts/around.rs"),
        "{message}"
    );
    let message = message_of(|| block_on(async { block_on(async {}) }));
    assert!(message.contains("would block the loop"), "{message}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let message = message_of(|| runtime.block_on(async { block_on(async {}) }));
    assert!(
        message.contains("runtime from within a runtime"),
        "{message}"
    );
}
