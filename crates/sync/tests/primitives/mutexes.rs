use crate::*;
use oneloop::green::{self, RunError, Wait};
use oneloop_core::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn tasks_take_the_lock_in_the_order_in_which_they_came_and_keep_it_over_waits() {
    let text = trace(|handle, log| {
        let mutex = Mutex::new(0);
        for name in ["a", "b", "c"] {
            let (mutex, log) = (mutex.clone(), log.clone());
            handle.spawn(async move {
                for _ in 0..2 {
                    let mut value = mutex.lock().await;
                    *value += 1;
                    log.note(format!("{name}{value}"));
                    yield_now().await;
                    log.note(format!("{name}{value}"));
                }
            });
        }
    });
    assert_eq!(text, "a1 a1 b2 b2 c3 c3 a4 a4 b5 b5 c6 c6");
}

#[test]
fn a_task_that_comes_later_does_not_overtake_the_waiter_that_was_woken() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().unwrap();
    let waiter = Polled::pending(mutex.lock());
    assert_eq!(mutex.waiting(), 1);
    drop(guard);
    assert!(mutex.try_lock().is_none());
    assert!(mutex.is_locked());
    let late = Polled::pending(mutex.lock());
    drop(waiter.output());
    drop(late.output());
    assert!(!mutex.is_locked());
}

#[test]
fn a_dropped_waiter_hands_the_lock_to_the_next_one_before_and_after_its_wake() {
    let mutex = Mutex::new('x');
    let guard = mutex.try_lock().unwrap();
    let unpolled = mutex.lock();
    let first = Polled::pending(mutex.lock());
    let second = Polled::pending(mutex.lock());
    let third = Polled::pending(mutex.lock());
    drop(unpolled); // it had no ticket
    drop(first); // before its turn
    drop(guard);
    assert!(second.is_woken() && !third.is_woken());
    drop(second); // after its turn, and before it ran
    assert_eq!(*third.output(), 'x');
    assert!(!mutex.is_locked());
}

#[test]
fn a_panic_releases_the_lock_and_keeps_what_was_written() {
    let mutex = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut value = mutex.try_lock().unwrap();
        *value = 2;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.try_lock().unwrap(), 2);
}

#[test]
fn a_canceled_task_releases_the_lock() {
    let text = trace(|handle, log| {
        let mutex = Mutex::new(());
        let held = mutex.clone();
        let owner = handle.spawn(async move {
            let _guard = held.lock().await;
            std::future::pending::<()>().await;
        });
        let log = log.clone();
        handle.spawn(async move {
            log.note(mutex.is_locked());
            owner.cancel();
            drop(mutex.lock().await);
            log.note(mutex.is_locked());
        });
    });
    assert_eq!(text, "true false");
}

#[test]
fn a_leaked_guard_keeps_the_mutex_locked() {
    let mutex = Mutex::new(());
    std::mem::forget(mutex.try_lock().unwrap());
    assert!(mutex.try_lock().is_none());
    drop(Polled::pending(mutex.lock()));
    assert!(mutex.into_inner().is_err(), "the guard is a handle");
}

#[test]
fn the_only_handle_borrows_and_returns_the_value_without_a_lock() {
    let mut mutex = Mutex::new(1);
    *mutex.get_mut().unwrap() = 2;
    let other = mutex.clone();
    assert!(mutex.get_mut().is_none());
    let mutex = mutex.into_inner().unwrap_err();
    drop(other);
    let guard = mutex.try_lock().unwrap();
    let mutex = mutex.into_inner().unwrap_err();
    drop(guard);
    let lock = mutex.lock();
    let mutex = mutex.into_inner().unwrap_err();
    drop(lock);
    assert_eq!(mutex.into_inner().unwrap(), 2);
}

#[test]
fn debug_shows_the_value_or_that_it_is_locked() {
    let mutex = Mutex::from(7);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 7, waiting: 0 }");
    let guard = mutex.try_lock().unwrap();
    assert_eq!(
        format!("{mutex:?} {guard:?}"),
        "Mutex { value: <locked>, waiting: 0 } 7"
    );
}

/// The message of the deadlock in which a green program ends.
fn deadlock(program: impl FnOnce() + 'static) -> String {
    let ended = green::run(program);
    let Err(RunError::Deadlock(deadlock)) = ended else {
        panic!("not a deadlock: {ended:?}");
    };
    deadlock.to_string()
}

#[test]
fn a_thread_that_locks_twice_is_a_deadlock_that_names_its_line() {
    let mutex = Mutex::new(1);
    let seen = mutex.clone();
    let report = deadlock(move || {
        let _guard = mutex.lock().wait();
        drop(mutex.lock().wait());
    });
    assert!(report.contains("'main' waits for MutexLock<"), "{report}");
    assert!(report.contains("mutexes.rs"), "{report}");
    assert!(!seen.is_locked(), "the end of the thread releases the lock");
}

#[test]
fn two_threads_that_take_two_mutexes_in_opposite_orders_are_a_deadlock() {
    let report = deadlock(|| {
        let (one, two) = (Mutex::new(1), Mutex::new(2));
        let orders = [("ab", one.clone(), two.clone()), ("ba", two, one)];
        let threads = orders.map(|(name, first, second)| {
            let named = green::Builder::new().name(name);
            let thread = named.spawn(move || {
                let _first = first.lock().wait();
                green::yield_now(); // the other thread takes its first lock
                drop(second.lock().wait());
            });
            thread.unwrap()
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
    for name in ["'ab' waits for MutexLock<", "'ba' waits for MutexLock<"] {
        assert!(report.contains(name), "{report}");
    }
}

/// A value whose drop uses its own mutex.
struct UsesItsMutex(Option<Mutex<UsesItsMutex>>);

impl Drop for UsesItsMutex {
    fn drop(&mut self) {
        if let Some(mutex) = &self.0 {
            assert!(mutex.try_lock().is_none(), "this value has the lock");
        }
    }
}

#[test]
fn a_value_that_is_replaced_may_use_the_mutex_in_its_drop() {
    let mutex = Mutex::new(UsesItsMutex(None));
    mutex.try_lock().unwrap().0 = Some(mutex.clone());
    *mutex.try_lock().unwrap() = UsesItsMutex(None);
    assert!(!mutex.is_locked());
}
