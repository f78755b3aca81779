use crate::*;
use oneloop_core::yield_now;

#[test]
fn the_owner_takes_the_lock_again_and_other_tasks_wait_for_the_last_release() {
    let text = trace(|handle, log| {
        let lock = RLock::new();
        for name in ["a", "b"] {
            let (lock, log) = (lock.clone(), log.clone());
            handle.spawn(async move {
                let outer = lock.acquire().await;
                let inner = lock.acquire().await;
                let third = lock.try_acquire().unwrap();
                for guard in [outer, inner, third] {
                    log.note(name);
                    yield_now().await;
                    drop(guard);
                }
            });
        }
    });
    assert_eq!(text, "a a a b b b");
}

#[test]
fn only_the_owner_can_release_the_lock() {
    let text = trace(|handle, log| {
        let lock = RLock::new();
        let (owned, noting) = (lock.clone(), log.clone());
        handle.spawn(async move {
            owned.acquire().await.forget();
            owned.acquire().await.forget();
            yield_now().await;
            noting.note(format!("{:?}", owned.release()));
            noting.note(format!("{:?}", owned.release()));
            noting.note(format!("{:?}", owned.release()));
        });
        let log = log.clone();
        handle.spawn(async move {
            log.note(format!("{:?}", lock.release()));
            log.note(lock.is_locked() && !lock.is_ours());
            log.note(lock.try_acquire().is_none());
            lock.acquire().await.forget();
            log.note(lock.is_ours());
        });
    });
    let refused = "Err(NotOwner)";
    assert_eq!(
        text,
        format!("{refused} true true Ok(()) Ok(()) {refused} true")
    );
}

#[test]
fn canceling_the_owner_releases_the_lock() {
    let text = trace(|handle, log| {
        let lock = RLock::new();
        let held = lock.clone();
        let owner = handle.spawn(async move {
            let _guards = (held.acquire().await, held.acquire().await);
            std::future::pending::<()>().await;
        });
        let log = log.clone();
        handle.spawn(async move {
            yield_now().await;
            owner.cancel();
            drop(lock.acquire().await);
            log.note(lock.is_locked());
        });
    });
    assert_eq!(text, "false");
}

#[test]
fn a_lock_granted_to_a_dropped_future_goes_to_the_next_waiter() {
    let lock = RLock::new();
    let text = trace(|handle, log| {
        let (held, log) = (lock.clone(), log.clone());
        let guard = lock.try_acquire().unwrap(); // by what runs in no task
        let never = handle.spawn(async move { drop(held.acquire().await) });
        let next = lock.clone();
        handle.spawn(async move {
            let guard = next.acquire().await;
            log.note(next.is_ours());
            drop(guard);
        });
        handle.spawn(async move {
            drop(guard);
            never.cancel();
        });
    });
    assert_eq!(text, "true");
    assert!(!lock.is_locked());
}
