use crate::*;

#[test]
fn set_wakes_all_waiters_in_order() {
    let text = trace(|handle, log| {
        let event = Event::new();
        for name in ["a", "b", "c"] {
            let (event, log) = (event.clone(), log.clone());
            handle.spawn(async move {
                event.until_set().await;
                log.note(name);
            });
        }
        let log = log.clone();
        handle.spawn(async move {
            event.set();
            log.note("set");
        });
    });
    assert_eq!(text, "set a b c");
}

#[test]
fn set_then_clear_still_wakes_the_waiters() {
    let event = Event::new();
    let before = Polled::pending(event.until_set());
    event.set();
    event.clear();
    let mut after = Polled::pending(event.until_set());
    before.output();
    assert!(after.poll().is_pending());
    event.set();
    after.output();
    now(event.until_set());
}

#[test]
fn a_waiter_that_gave_up_is_not_woken_and_leaves_no_gap() {
    let event = Event::new();
    let [a, b, c] = [0, 1, 2].map(|_| Polled::pending(event.until_set()));
    drop(b);
    assert_eq!(event.waiting(), 2);
    event.set();
    a.output();
    c.output();
}

#[test]
fn a_loop_in_which_all_tasks_wait_for_each_other_ends() {
    let text = trace(|handle, log| {
        let (a, b, log) = (Event::new(), Event::new(), log.clone());
        for (mine, other) in [(a.clone(), b.clone()), (b, a)] {
            let log = log.clone();
            handle.spawn(async move {
                other.until_set().await;
                mine.set();
                log.note("never");
            });
        }
    });
    assert_eq!(text, "");
}
