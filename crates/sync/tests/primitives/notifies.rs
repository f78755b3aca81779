use crate::*;

#[test]
fn one_notification_is_kept_and_further_ones_are_not() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    now(notify.notified());
    drop(Polled::pending(notify.notified()));
}

#[test]
fn a_round_completes_what_was_created_before_it_and_nothing_later() {
    let notify = Notify::new();
    let (unpolled, waits) = (notify.notified(), Polled::pending(notify.notified()));
    notify.notify_waiters();
    now(unpolled);
    waits.output();
    drop(Polled::pending(notify.notified()));
}

#[test]
fn a_waiter_that_gives_up_hands_its_notification_to_the_next_one() {
    let notify = Notify::new();
    let first = Polled::pending(notify.notified());
    let second = Polled::pending(notify.notified());
    notify.notify_one();
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken());
    drop(second);
    now(notify.notified()); // without a waiter, it is kept
}

#[test]
fn a_waiter_that_gives_up_after_a_round_hands_nothing_over() {
    let notify = Notify::new();
    let waits = Polled::pending(notify.notified());
    notify.notify_waiters();
    drop(waits);
    drop(Polled::pending(notify.notified()));
}

#[test]
fn the_last_waiter_may_be_notified_first() {
    let text = trace(|handle, log| {
        let notify = Notify::new();
        for name in ["a", "b", "c"] {
            let (notify, log) = (notify.clone(), log.clone());
            handle.spawn(async move {
                notify.notified().await;
                log.note(name);
            });
        }
        handle.spawn(async move {
            assert_eq!(notify.waiting(), 3);
            notify.notify_last();
            notify.notify_one();
            notify.notify_one();
        });
    });
    assert_eq!(text, "c a b");
}

#[test]
fn a_notification_that_was_received_stays_received() {
    let notify = Notify::new();
    notify.notify_one();
    let mut notified = notify.notified();
    assert!(notified.enable());
    assert!(notified.enable());
    now(notified);
    assert_eq!(
        format!("{notify:?}"),
        "Notify { has_permit: false, waiting: 0 }"
    );
}
