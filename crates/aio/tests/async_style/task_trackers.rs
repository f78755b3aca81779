use crate::*;
use oneloop_aio::{TaskTracker, sleep, spawn, timeout, yield_now};
use oneloop_core::Handle;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// True if a wait for the tracker would complete now.
fn is_over(tracker: &TaskTracker) -> bool {
    poll_once(pin!(tracker.wait())).is_ready()
}

#[test]
fn a_wait_lasts_until_the_tracker_is_closed_and_its_tasks_have_ended() {
    run(async {
        let log = Log::default();
        let tracker = TaskTracker::new();
        for (name, delay_ms) in [("slow", 2), ("fast", 1)] {
            let log = log.clone();
            tracker.spawn(async move {
                let _dropped = log.on_drop(name);
                sleep(MS * delay_ms).await;
            });
        }
        let (waits, noted) = (tracker.clone(), log.clone());
        let waiter = spawn(async move {
            waits.wait().await;
            noted.note("over");
        });
        assert!(!is_over(&tracker));
        sleep(MS * 3).await;
        assert!(tracker.is_empty() && !is_over(&tracker), "it is open");
        tracker.spawn(sleep(MS));
        assert!(tracker.close() && !tracker.close());
        assert!(timeout(MS / 2, tracker.wait()).await.is_err());
        waiter.await.unwrap();
        assert_eq!(log.text(), "-fast -slow over");
        assert!(is_over(&tracker));
    });
}

#[test]
fn a_task_that_ends_leaves_nothing_in_the_tracker() {
    run(async {
        let (tracker, result) = (TaskTracker::new(), Rc::new(()));
        for _ in 0..3 {
            let result = Rc::clone(&result);
            tracker.spawn(async move { result });
        }
        assert_eq!(tracker.len(), 3);
        yield_now().await;
        assert_eq!((tracker.len(), Rc::strong_count(&result)), (0, 1));
        let joined = tracker.spawn(async { 7 });
        assert_eq!(joined.await.unwrap(), 7);
        assert!(tracker.is_empty(), "a task that is joined has ended");
    });
}

#[test]
fn tasks_that_panic_or_are_canceled_have_ended_and_an_unjoined_panic_is_reported() {
    run(async {
        let log = Log::default();
        let noted = log.clone();
        Handle::current().on_unhandled(move |unhandled| {
            noted.note(unhandled.error.panic_message().unwrap_or("?"));
        });
        let tracker = TaskTracker::new();
        tracker.spawn(async { panic!("on purpose") });
        let (begun, unbegun) = (tracker.spawn(pending::<()>()), sleep(MS));
        tracker.close();
        yield_now().await;
        tracker.spawn(unbegun).cancel();
        begun.cancel();
        tracker.wait().await;
        assert_eq!(log.text(), "on purpose");
    });
}

#[test]
fn a_dropped_tracker_cancels_nothing_and_its_wait_still_completes() {
    run(async {
        let log = Log::default();
        let tracker = TaskTracker::new();
        let inner = log.clone();
        tracker.spawn(async move {
            sleep(MS).await;
            inner.note("ends");
        });
        tracker.close();
        let wait = tracker.wait();
        drop(tracker);
        wait.await;
        assert_eq!(log.text(), "ends");
    });
}

#[test]
fn a_task_that_is_spawned_after_the_close_is_waited_for_unless_the_wait_was_woken() {
    run(async {
        let tracker = TaskTracker::new();
        tracker.close();
        assert!(is_over(&tracker));
        let task = tracker.spawn(pending::<()>());
        assert!(!is_over(&tracker));
        let mut wait = pin!(tracker.wait());
        assert!(poll_once(wait.as_mut()).is_pending());
        task.cancel();
        let other = tracker.spawn(pending::<()>());
        assert!(poll_once(wait).is_ready());
        assert!(!is_over(&tracker));
        other.cancel();
        assert!(tracker.reopen() && !tracker.reopen());
        assert!(!is_over(&tracker) && !tracker.is_closed());
    });
}

#[test]
fn tokens_and_tracked_futures_count_as_tasks_until_they_are_dropped() {
    run(async {
        let tracker = TaskTracker::new();
        tracker.close();
        let token = tracker.token();
        let other = token.clone();
        assert_eq!(token.task_tracker().len(), 2);
        drop(token);
        let tracked = tracker.track_future(sleep(MS));
        drop(other);
        assert!(!is_over(&tracker));
        tracked.await;
        assert!(is_over(&tracker));
        assert_eq!(
            format!("{tracker:?}"),
            "TaskTracker { len: 0, is_closed: true, waiting: 0 }"
        );
    });
}
