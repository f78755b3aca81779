use crate::*;
use oneloop_core::yield_now;

#[test]
fn notified_waiters_continue_in_order_with_the_lock() {
    let text = trace(|handle, log| {
        let condition = Condition::new();
        for name in ["a", "b", "c"] {
            let (condition, log) = (condition.clone(), log.clone());
            handle.spawn(async move {
                let guard = condition.lock().await;
                log.note(format!("{name}-waits"));
                let guard = guard.wait().await;
                log.note(format!("{name}-goes-on"));
                yield_now().await;
                log.note(format!("{name}-ends"));
                drop(guard);
            });
        }
        let log = log.clone();
        handle.spawn(async move {
            yield_now().await;
            let guard = condition.lock().await;
            condition.notify(2);
            log.note("notified");
            drop(guard);
            condition.notify_all();
        });
    });
    assert_eq!(
        text,
        "a-waits b-waits c-waits notified a-goes-on a-ends b-goes-on b-ends c-goes-on c-ends"
    );
}

/// `N` waits that were polled once.
fn waiting<const N: usize>(condition: &Condition) -> [Polled<ConditionWait>; N] {
    [(); N].map(|()| Polled::pending(now(condition.lock()).wait()))
}

#[test]
fn a_wait_releases_the_lock_when_it_is_first_polled() {
    let condition = Condition::new();
    let wait = now(condition.lock()).wait();
    assert!(condition.try_lock().is_none());
    let wait = Polled::pending(wait);
    drop(condition.try_lock().unwrap());
    assert_eq!(condition.waiting(), 1);
    drop(wait);
    assert_eq!(condition.waiting(), 0);
}

#[test]
fn the_notification_of_a_dropped_wait_goes_to_the_next_waiter() {
    let condition = Condition::new();
    let [first, second] = waiting(&condition);
    condition.notify_one();
    drop(first);
    drop(second.output());
}

#[test]
fn a_wait_dropped_while_it_waits_for_the_lock_passes_its_notification_on() {
    let condition = Condition::new();
    let [mut first, second] = waiting(&condition);
    condition.notify_one();
    let guard = now(condition.lock());
    assert!(first.poll().is_pending());
    assert!(!second.is_woken());
    drop(first);
    drop(guard);
    drop(second.output());
    drop(condition.try_lock().unwrap());
}

#[test]
fn a_notification_reaches_only_tasks_that_wait_already() {
    let condition = Condition::new();
    condition.notify_all();
    let [wait] = waiting(&condition);
    assert!(!wait.is_woken());
}
