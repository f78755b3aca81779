use crate::*;
use oneloop_aio::{JoinSet, ScopedJoinHandle, deadline, now, scope, timeout, try_scope, yield_now};
use oneloop_core::JoinError;

const MS: Duration = Duration::from_millis(1);

#[test]
fn futures_of_a_scope_borrow_from_the_caller_and_from_each_other() {
    run(async {
        let mut count = 0;
        let log = Log::default();
        scope(async |scope| {
            let (count, log) = (&mut count, &log);
            scope.spawn(async move {
                for name in ["a", "b"] {
                    sleep(MS).await;
                    *count += 1;
                    log.note(name);
                }
            });
            scope.spawn(async {
                log.note("first");
                sleep(MS * 5).await;
                log.note("last");
            });
        })
        .await;
        log.note("after");
        assert_eq!((count, &*log.text()), (2, "first a b last after"));
    });
}

#[test]
fn a_handle_returns_the_result_or_the_cancel() {
    run(scope(async |scope| {
        let value = scope.spawn(async {
            sleep(MS).await;
            7
        });
        let canceled = scope.spawn(pending::<()>());
        assert_eq!(value.await.unwrap(), 7);
        assert!(!canceled.is_finished());
        canceled.cancel();
        assert!(canceled.is_finished());
        assert!(matches!(canceled.await, Err(JoinError::Canceled)));
    }));
}

#[test]
fn a_future_may_spawn_others_and_cancel_itself() {
    let log = Log::default();
    run(scope(async |scope| {
        let (log, inner) = (&log, scope.clone());
        scope.spawn(async move {
            let _dropped = log.on_drop("parent");
            inner.spawn(async {
                log.note("grandchild");
            });
            log.note("parent");
            let it: Rc<RefCell<Option<ScopedJoinHandle<'_, ()>>>> = Rc::default();
            let handle = Rc::clone(&it);
            it.replace(Some(inner.spawn(async move {
                let _dropped = log.on_drop("itself");
                handle.take().unwrap().cancel();
                log.note("until its next wait");
                yield_now().await;
                unreachable!();
            })));
        });
    }));
    let expected = "parent -parent grandchild until its next wait -itself";
    assert_eq!(log.text(), expected);
}

#[test]
fn the_first_error_drops_the_rest_and_is_the_result() {
    let log = Log::default();
    let result = run(try_scope(async |scope| {
        let log = &log;
        scope.spawn(waits(log, "sibling"));
        scope.spawn_try(async {
            sleep(MS).await;
            Err::<(), _>("first")
        });
        scope.spawn_try(async {
            sleep(MS * 2).await;
            Err::<(), _>("second")
        });
        waits(log, "function").await;
        Ok(())
    }));
    assert_eq!(result, Err("first"));
    assert_eq!(log.text(), "-sibling -function");
}

#[test]
fn an_error_of_the_function_drops_the_futures() {
    let log = Log::default();
    let result = run(try_scope(async |scope| {
        scope.spawn(waits(&log, "child"));
        yield_now().await;
        Err::<(), _>("no luck")
    }));
    assert_eq!((result, &*log.text()), (Err("no luck"), "-child"));
}

#[test]
fn the_first_panic_drops_the_rest_and_reaches_the_caller() {
    let log = Log::default();
    run(async {
        let inner = log.clone();
        let task = spawn(async move {
            scope(async |scope| {
                let log = &inner;
                scope.spawn(async move {
                    let _also = PanicsInDrop;
                    waits(log, "sibling").await;
                });
                scope.spawn(async {
                    sleep(MS).await;
                    panic!("on purpose");
                });
                waits(log, "function").await;
            })
            .await;
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.panic_message(), Some("on purpose"));
    });
    assert_eq!(log.text(), "-sibling -function");
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

#[test]
fn futures_end_with_a_scope_that_is_dropped() {
    let log = Log::default();
    run(async {
        let scoped = scope(async |scope| {
            let inner = scope.clone(); // a cycle: the future owns the scope that owns it
            let log = &log;
            scope.spawn(async move {
                waits(log, "child").await;
                drop(inner);
            });
            scope.spawn(waits(log, "other"));
        });
        assert!(timeout(MS, scoped).await.is_err());
        log.note("after");
    });
    assert_eq!(log.text(), "-child -other after");
}

#[test]
fn what_is_spawned_after_the_end_is_dropped_at_once() {
    let log = Log::default();
    run(async {
        let kept = scope(async |scope| scope.clone()).await;
        let late = kept.spawn(waits(&log, "late"));
        assert_eq!(log.text(), "");
        assert!(late.is_finished());
        assert!(matches!(late.await, Err(JoinError::Canceled)));
    });
}

#[test]
fn a_cancel_drops_the_futures_and_the_function_continues() {
    let log = Log::default();
    let value = run(scope(async |scope| {
        scope.spawn(waits(&log, "a"));
        scope.spawn(waits(&log, "b"));
        sleep(MS).await;
        scope.cancel();
        log.note("canceled");
        scope.spawn(async { log.note("later") }).await.unwrap();
        42
    }));
    assert_eq!(value, 42);
    assert_eq!(log.text(), "-a -b canceled later");
}

#[test]
fn a_cancel_from_outside_ends_a_scope_that_waits_for_nothing_else() {
    run(async {
        let handle = RefCell::new(None);
        let scoped = scope(async |scope| {
            handle.replace(Some(scope.spawn(pending::<()>())));
        });
        let cancels = async {
            sleep(MS).await;
            handle.take().unwrap().cancel();
        };
        let start = now();
        oneloop_aio::join(scoped, cancels).await;
        assert_eq!(now(), start + MS);
    });
}

#[test]
fn a_wake_polls_only_the_future_that_was_woken() {
    let polls = [const { Cell::new(0) }; 3];
    run(scope(async |scope| {
        let polls = &polls;
        scope.spawn(counted(&polls[0], 0));
        scope.spawn(counted(&polls[1], 5));
        counted(&polls[2], 2).await;
    }));
    assert_eq!(polls.map(Cell::into_inner), [1, 6, 3]);
}

#[test]
fn futures_of_a_scope_see_its_deadline() {
    run(async {
        let start = now();
        let log = &Log::default();
        let scoped = scope(async |scope| {
            scope.spawn(async {
                assert!(timeout(MS * 100, sleep(MS * 100)).await.is_err());
                log.note((now() - start).as_millis());
            });
        });
        let _ = deadline(start + MS * 3, scoped).await;
        assert_eq!((now(), &*log.text()), (start + MS * 3, "3"));
    });
}

#[test]
fn a_scope_runs_in_a_task_of_a_set() {
    run(async {
        let mut set = JoinSet::new();
        set.spawn(async {
            let words = ["tea".to_owned(), "toast".to_owned()];
            scope(async |scope| {
                let lengths = words.iter().map(|word| scope.spawn(async { word.len() }));
                let lengths: Vec<_> = lengths.collect();
                let mut sum = 0;
                for length in lengths {
                    sum += length.await.unwrap();
                }
                sum
            })
            .await
        });
        assert_eq!(set.join_all().await, [8]);
    });
}

#[test]
fn a_scope_keeps_its_order_of_ends_under_chaos() {
    oneloop::chaos::check(0..100, |event_loop| {
        let log = Log::default();
        let result = event_loop.block_on(try_scope(async |scope| {
            let log = &log;
            for name in ["a", "b", "c"] {
                scope.spawn(async move {
                    let (client, server) = oneloop_aio::UnixStream::pair().unwrap();
                    client.write_all(name.as_bytes()).await.unwrap();
                    drop(client);
                    assert_eq!(server.read_text(9).await.unwrap(), name);
                    waits(log, name).await;
                });
            }
            scope.spawn_try(async {
                sleep(MS * 50).await;
                Err::<(), _>("enough")
            });
            Ok(())
        }));
        assert_eq!((result, &*log.text()), (Err("enough"), "-a -b -c"));
    });
}
