use crate::*;
use oneloop::signal::SIGUSR2;
use oneloop_aio::{GracefulShutdown, TcpListener, TcpStream, now, yield_now};
use oneloop_core::JoinError;
use std::process::Command;

const MS: Duration = Duration::from_millis(1);

/// Answers each message after 5 ms, until the end is requested.
async fn serve(stream: TcpStream, shutdown: GracefulShutdown) -> std::io::Result<()> {
    while let Some(received) = shutdown.run(stream.read_chunk()).await {
        let Some(chunk) = received? else { break };
        sleep(MS * 5).await;
        stream.write_all(&chunk).await?;
    }
    Ok(())
}

#[test]
fn a_drain_answers_what_has_arrived_and_waits_no_longer_than_that() {
    run(async {
        let shutdown = GracefulShutdown::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (busy, idle) = (
            TcpStream::connect(addr).await,
            TcpStream::connect(addr).await,
        );
        let (busy, idle) = (busy.unwrap(), idle.unwrap());
        for _ in 0..2 {
            let (stream, _peer) = listener.accept().await.unwrap();
            shutdown.spawn(serve(stream, shutdown.clone()));
        }
        busy.write_all(b"hello").await.unwrap();
        sleep(MS).await; // the message has arrived
        let start = now();
        assert_eq!(shutdown.drain(MS * 1000).await, 0);
        assert!(now() - start <= MS * 5);
        assert!(shutdown.token().is_requested());
        assert_eq!(busy.read_text(100).await.unwrap(), "hello");
        assert_eq!(idle.read_text(100).await.unwrap(), "");
        assert!(shutdown.run(listener.accept()).await.is_none());
    });
}

#[test]
fn tasks_that_take_longer_than_the_limit_are_canceled_and_counted() {
    run(async {
        let (log, shutdown, start) = (Log::default(), GracefulShutdown::new(), now());
        let tasks = ["a", "b"].map(|name| {
            let log = log.clone();
            shutdown.spawn(async move { waits(&log, name).await })
        });
        let quick = shutdown.spawn(async { 7 });
        yield_now().await;
        assert_eq!(shutdown.drain(MS * 3).await, 2);
        assert_eq!((now() - start, &*log.text()), (MS * 3, "-a -b"));
        assert!(shutdown.tasks().is_empty());
        for task in tasks {
            assert!(matches!(task.await, Err(JoinError::Canceled)));
        }
        assert_eq!(quick.await.unwrap(), 7);
        assert_eq!(shutdown.drain(MS).await, 0);
    });
}

#[test]
fn a_drain_that_is_dropped_has_requested_the_end_and_canceled_nothing() {
    run(async {
        let shutdown = GracefulShutdown::new();
        let task = shutdown.spawn(sleep(MS * 10));
        assert!(
            oneloop_aio::timeout(MS, shutdown.drain(MS * 5))
                .await
                .is_err()
        );
        assert!(shutdown.token().is_requested() && !task.is_finished());
        assert_eq!(shutdown.drain(MS * 100).await, 0);
    });
}

#[test]
fn a_panic_ends_a_task_and_a_token_is_waited_for_and_not_canceled() {
    run(async {
        let shutdown = GracefulShutdown::new();
        let panics = shutdown.spawn(async { panic!("on purpose") });
        let token = shutdown.tasks().token();
        assert_eq!(shutdown.drain(MS).await, 0);
        assert!(panics.await.is_err());
        drop(token);
        assert_eq!(shutdown.drain(MS).await, 0);
    });
}

#[test]
fn a_signal_begins_a_shutdown() {
    oneloop_aio::block_on(async {
        let shutdown = GracefulShutdown::on_signals(&[SIGUSR2]).unwrap();
        let worker = shutdown.spawn({
            let token = shutdown.token().clone();
            async move { token.requested().await }
        });
        let pid = std::process::id().to_string();
        assert!(
            Command::new("kill")
                .args(["-USR2", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(shutdown.run(pending::<()>()).await.is_none());
        assert_eq!(shutdown.drain(MS * 10_000).await, 0);
        worker.await.unwrap();
    });
}

#[test]
fn a_shutdown_drains_under_chaos() {
    oneloop::chaos::check(0..100, |event_loop| {
        event_loop.block_on(async {
            let shutdown = GracefulShutdown::new();
            let (client, server) = oneloop_aio::UnixStream::pair().unwrap();
            shutdown.spawn({
                let token = shutdown.token().clone();
                async move {
                    while let Some(Ok(Some(chunk))) = token.run(server.read_chunk()).await {
                        server.write_all(&chunk).await.unwrap();
                    }
                }
            });
            shutdown.spawn(pending::<()>());
            client.write_all(b"hello").await.unwrap();
            client.read_exact(&mut [0; 5]).await.unwrap();
            assert_eq!(shutdown.drain(MS * 100).await, 1);
            assert_eq!(client.read_text(100).await.unwrap(), "");
            assert!(shutdown.tasks().is_empty());
        });
    });
}
