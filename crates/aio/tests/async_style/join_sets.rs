use crate::*;
use oneloop_aio::{JoinError, JoinSet, sleep, spawn, timeout, yield_now};
use oneloop_core::Handle;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn after(delay_ms: u32) -> u32 {
    sleep(MS * delay_ms).await;
    delay_ms
}

/// Collects the messages of the panics that nothing joins.
fn unjoined() -> Log {
    let log = Log::default();
    let noted = log.clone();
    Handle::current().on_unhandled(move |unhandled| {
        noted.note(unhandled.error.panic_message().unwrap_or("?"));
    });
    log
}

#[test]
fn tasks_are_joined_in_the_order_in_which_they_end() {
    run(async {
        let mut set: JoinSet<_> = [3, 1, 2].map(after).into_iter().collect();
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert!(set.try_join_next().is_none());
        let mut order = Vec::new();
        while let Some(result) = set.join_next().await {
            order.push(result.unwrap());
        }
        assert_eq!(order, [1, 2, 3]);
        assert!(set.is_empty() && set.join_next().await.is_none());
        set.extend([5, 4].map(after));
        assert_eq!(set.join_all().await, [4, 5]);
    });
}

#[test]
fn a_dropped_wait_for_the_next_end_loses_no_result() {
    run(async {
        let mut set = JoinSet::new();
        set.spawn(after(500));
        for _ in 0..3 {
            assert!(timeout(MS, set.join_next()).await.is_err());
        }
        {
            let mut dropped = pin!(set.join_next());
            assert!(poll_once(dropped.as_mut()).is_pending());
            sleep(MS * 1000).await; // it ends meanwhile
        }
        assert_eq!(set.try_join_next().unwrap().unwrap(), 500);
    });
}

#[test]
fn panics_and_cancels_are_results_of_their_tasks() {
    run(async {
        let unjoined = unjoined();
        let mut set = JoinSet::new();
        set.spawn(async { panic!("on purpose") });
        let endless = set.spawn(pending::<()>());
        let error = set.join_next().await.unwrap().unwrap_err();
        assert_eq!(error.panic_message(), Some("on purpose"));
        assert!(!endless.is_finished());
        endless.cancel();
        assert!(endless.is_finished());
        let error = set.join_next().await.unwrap().unwrap_err();
        assert!(matches!(error, JoinError::Canceled));
        assert_eq!(unjoined.text(), "", "both were joined");
    });
}

#[test]
fn dropping_the_set_cancels_its_tasks_and_reports_panics_that_were_not_joined() {
    run(async {
        let (log, unjoined) = (Log::default(), unjoined());
        let mut set = JoinSet::new();
        for name in ["a", "b"] {
            let log = log.clone();
            set.spawn(async move { waits(&log, name).await });
        }
        set.spawn(async { panic!("not joined") });
        yield_now().await;
        assert_eq!(unjoined.text(), "");
        drop(set);
        assert_eq!(log.text(), "-a -b");
        assert_eq!(unjoined.text(), "not joined");
    });
}

#[test]
fn a_canceled_owner_takes_the_tasks_of_its_set_along() {
    run(async {
        let log = Log::default();
        let inner = log.clone();
        let owner = spawn(async move {
            let mut set = JoinSet::new();
            set.spawn(async move { waits(&inner, "member").await });
            set.join_next().await;
        });
        yield_now().await;
        yield_now().await;
        owner.cancel();
        assert_eq!(log.text(), "-member");
    });
}

#[test]
fn a_task_that_drops_its_own_set_ends_at_its_next_wait() {
    run(async {
        let (log, unjoined) = (Log::default(), unjoined());
        let set = Rc::new(RefCell::new(JoinSet::new()));
        let (own, inner) = (Rc::clone(&set), log.clone());
        set.borrow_mut().spawn(async move {
            let _dropped = inner.on_drop("member");
            drop(own.take());
            inner.note("continues");
            yield_now().await;
            inner.note("never");
        });
        sleep(MS).await;
        assert_eq!(log.text(), "continues -member");
        let own = Rc::clone(&set);
        set.borrow_mut().spawn(async move {
            drop(own.take());
            panic!("after the set was gone");
        });
        sleep(MS).await;
        assert_eq!(unjoined.text(), "after the set was gone");
    });
}

#[test]
fn detached_tasks_continue_alone() {
    run(async {
        let (log, unjoined) = (Log::default(), unjoined());
        let mut set = JoinSet::new();
        let inner = log.clone();
        set.spawn(async move {
            sleep(MS).await;
            inner.note("ends");
        });
        set.spawn(async {
            sleep(MS * 2).await;
            panic!("alone");
        });
        set.detach_all();
        assert!(set.is_empty());
        drop(set);
        sleep(MS * 3).await;
        assert_eq!(
            (log.text(), unjoined.text()),
            ("ends".into(), "alone".into())
        );
    });
}

#[test]
fn a_shutdown_drops_the_futures_and_reports_the_panics_among_the_results() {
    run(async {
        let (log, unjoined) = (Log::default(), unjoined());
        let mut set = JoinSet::new();
        let inner = log.clone();
        set.spawn(async move { waits(&inner, "endless").await });
        set.spawn(async { panic!("before") });
        yield_now().await;
        set.shutdown().await;
        assert!(set.is_empty());
        assert_eq!(
            (log.text(), unjoined.text()),
            ("-endless".into(), "before".into())
        );
        set.shutdown().await; // nothing is left to wait for
    });
}

#[test]
fn joining_all_panics_with_the_first_panic_and_cancels_the_rest() {
    run(async {
        let log = Log::default();
        let inner = log.clone();
        let owner = spawn(async move {
            let mut set = JoinSet::new();
            set.spawn(async move { waits(&inner, "rest").await });
            set.spawn(async { panic!("on purpose") });
            set.join_all().await
        });
        assert_eq!(owner.await.unwrap_err().panic_message(), Some("on purpose"));
        assert_eq!(log.text(), "-rest");
    });
}

#[test]
fn a_member_may_spawn_into_its_own_set() {
    run(async {
        let set = Rc::new(RefCell::new(JoinSet::new()));
        let own = Rc::clone(&set);
        set.borrow_mut().spawn(async move {
            own.borrow_mut().spawn(after(1));
            0
        });
        let mut order = Vec::new();
        while let Some(result) =
            std::future::poll_fn(|cx| set.borrow_mut().poll_join_next(cx)).await
        {
            order.push(result.unwrap());
        }
        assert_eq!(order, [0, 1]);
    });
}

#[test]
fn a_set_that_outlives_its_loop_has_canceled_tasks() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let mut set = JoinSet::new();
    event_loop.enter(|| set.spawn(pending::<()>()));
    event_loop.run().unwrap(); // waiting keeps no loop alive
    drop(event_loop);
    let error = set.try_join_next().unwrap().unwrap_err();
    assert!(matches!(error, JoinError::Canceled));
    assert!(set.is_empty());
}
