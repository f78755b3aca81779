use crate::*;
use oneloop_core::yield_now;
use std::sync::Arc;
use std::task::Wake;

fn two_rounds_of_three(semaphore: &Semaphore) -> String {
    trace(|handle, log| {
        for name in ["a", "b", "c"] {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            handle.spawn(async move {
                for _ in 0..2 {
                    let permit = semaphore.acquire().await;
                    log.note(name);
                    yield_now().await;
                    drop(permit);
                }
            });
        }
    })
}

#[test]
fn a_fair_semaphore_hands_over_and_a_barging_one_lets_the_holder_take_it_again() {
    assert_eq!(two_rounds_of_three(&Semaphore::new(1)), "a b c a b c");
    assert_eq!(two_rounds_of_three(&Semaphore::barging(1)), "a a b b c c");
}

#[test]
fn a_released_permit_is_not_for_a_task_that_comes_later() {
    let semaphore = Semaphore::new(0);
    let waiting = Polled::pending(semaphore.acquire());
    semaphore.release();
    assert_eq!((semaphore.available(), semaphore.waiting()), (0, 0));
    assert!(semaphore.try_acquire().is_none());
    let later = Polled::pending(semaphore.acquire());
    drop(waiting.output());
    drop(later.output());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_barged_waiter_keeps_its_place() {
    let semaphore = Semaphore::barging(0);
    let mut first = Polled::pending(semaphore.acquire());
    let second = Polled::pending(semaphore.acquire());
    semaphore.release();
    assert!(first.is_woken());
    let barged = semaphore.try_acquire().unwrap();
    assert!(first.poll().is_pending());
    assert_eq!(semaphore.waiting(), 2);
    drop(barged);
    assert!(!second.is_woken());
    first.output().forget();
    semaphore.release();
    second.output().forget();
}

#[test]
fn a_permit_granted_to_a_dropped_future_goes_to_the_next_waiter() {
    for semaphore in [Semaphore::new(0), Semaphore::barging(0)] {
        let [first, second, third] = [0, 1, 2].map(|_| Polled::pending(semaphore.acquire()));
        semaphore.release();
        drop((first, second));
        drop(third.output());
        assert_eq!(semaphore.available(), 1);
    }
}

#[test]
fn canceling_a_task_releases_its_permit() {
    let text = trace(|handle, log| {
        let semaphore = Semaphore::new(1);
        let held = semaphore.clone();
        let holder = handle.spawn(async move {
            let _permit = held.acquire().await;
            std::future::pending::<()>().await;
        });
        let (handle, log) = (handle.clone(), log.clone());
        handle.spawn(async move {
            yield_now().await;
            holder.cancel();
            semaphore.acquire().await.forget();
            log.note("mine");
        });
    });
    assert_eq!(text, "mine");
}

#[test]
fn a_bounded_semaphore_cannot_be_released_beyond_its_start() {
    let semaphore = BoundedSemaphore::new(1);
    assert_eq!(semaphore.release(), Err(OverReleased));
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.release(), Ok(()));
    drop(permit);
    assert_eq!(semaphore.available(), 1, "released once, not twice");
}

#[test]
fn a_capped_semaphore_waits_at_both_ends() {
    let semaphore = CappedSemaphore::new(1, 1);
    let release = Polled::pending(semaphore.release());
    now(semaphore.acquire());
    release.output();
    now(semaphore.acquire());
    let acquire = Polled::pending(semaphore.acquire());
    assert!(semaphore.try_release());
    acquire.output();
}

#[test]
fn a_capped_semaphore_counts_tasks_that_wait_to_release() {
    let semaphore = CappedSemaphore::new(1, 2);
    assert_eq!((semaphore.available(), semaphore.room()), (1, 1));
    now(semaphore.release());
    assert_eq!((semaphore.available(), semaphore.room()), (2, 0));
    let release = Polled::pending(semaphore.release());
    assert_eq!((semaphore.available(), semaphore.room()), (3, 0));
    now(semaphore.acquire());
    assert_eq!((semaphore.available(), semaphore.room()), (2, 0));
    release.output();
    assert_eq!((semaphore.available(), semaphore.room()), (2, 0));
}

#[test]
#[should_panic(expected = "begins within its limit")]
fn a_capped_semaphore_does_not_begin_above_its_limit() {
    CappedSemaphore::new(2, 1);
}

#[test]
fn a_waker_may_use_the_semaphore_that_wakes_it() {
    struct Barges;
    thread_local! {
        static SEMAPHORE: Semaphore = Semaphore::barging(0);
    }
    impl Wake for Barges {
        fn wake(self: Arc<Self>) {
            SEMAPHORE.with(|semaphore| semaphore.try_acquire().unwrap().forget());
        }
    }
    let waker = Waker::from(Arc::new(Barges));
    let mut acquire = SEMAPHORE.with(Semaphore::acquire);
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut acquire).poll(&mut cx).is_pending());
    SEMAPHORE.with(Semaphore::release);
    assert_eq!(SEMAPHORE.with(Semaphore::available), 0);
}
