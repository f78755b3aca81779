use crate::*;

#[test]
fn the_last_task_to_arrive_leads_and_the_barrier_is_used_again() {
    let text = trace(|handle, log| {
        let barrier = Barrier::new(3);
        for name in ["a", "b", "c"] {
            let (barrier, log) = (barrier.clone(), log.clone());
            handle.spawn(async move {
                for round in 1..=2 {
                    let leads = barrier.wait().await.is_leader();
                    log.note(format!("{name}{round}{}", if leads { "!" } else { "" }));
                }
            });
        }
    });
    assert_eq!(text, "c1! a1 b1 b2! c2 a2");
}

#[test]
fn a_task_that_gives_up_has_not_arrived() {
    let barrier = Barrier::new(2);
    drop(Polled::pending(barrier.wait()));
    let waits = Polled::pending(barrier.wait());
    assert_eq!(barrier.waiting(), 1);
    assert!(now(barrier.wait()).is_leader());
    assert!(!waits.output().is_leader());
}

#[test]
fn a_task_that_gives_up_after_the_barrier_opened_holds_no_other_task_up() {
    let barrier = Barrier::new(2);
    let waits = Polled::pending(barrier.wait());
    now(barrier.wait());
    let next = Polled::pending(barrier.wait());
    drop(waits);
    assert_eq!(format!("{barrier:?}"), "Barrier { size: 2, waiting: 1 }");
    now(barrier.wait());
    next.output();
}

#[test]
fn a_barrier_for_one_task_or_none_is_open() {
    assert!(now(Barrier::new(0).wait()).is_leader());
    assert!(now(Barrier::new(1).wait()).is_leader());
}
