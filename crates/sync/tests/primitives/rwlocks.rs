use crate::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_reader_waits_behind_a_writer_that_waits() {
    let lock = RwLock::new(0);
    let reads = lock.try_read().unwrap();
    assert_eq!(*lock.try_read().unwrap(), 0, "readers share it");
    let writer = Polled::pending(lock.write());
    assert!(lock.try_read().is_none());
    let late = Polled::pending(lock.read());
    drop(reads);
    assert!(!late.is_woken());
    *writer.output() += 1;
    assert_eq!(*late.output(), 1);
}

#[test]
fn a_writer_that_gives_up_admits_the_readers_behind_it() {
    let lock = RwLock::new(());
    let reads = lock.try_read().unwrap();
    let writer = Polled::pending(lock.write());
    let readers = [lock.read(), lock.read()].map(Polled::pending);
    assert_eq!(lock.waiting(), 3);
    drop(writer);
    let _guards = readers.map(Polled::output);
    drop(reads);
    assert!(lock.try_write().is_none());
}

#[test]
fn a_writer_that_becomes_a_reader_admits_readers_and_keeps_writers_out() {
    let lock = RwLock::new(1);
    let mut writes = lock.try_write().unwrap();
    let reader = Polled::pending(lock.read());
    let writer = Polled::pending(lock.write());
    *writes = 2;
    let reads = RwLockWriteGuard::downgrade(writes);
    assert_eq!((*reads, *reader.output()), (2, 2));
    assert!(!writer.is_woken());
    assert!(std::ptr::eq(
        RwLockReadGuard::rwlock(&reads)
            .try_read()
            .map_or(&0, |_| &0),
        &0
    ));
    drop(reads);
    *writer.output() = 3;
    assert_eq!(lock.into_inner().unwrap(), 3);
}

#[test]
fn guards_of_a_canceled_task_and_of_one_that_panics_are_released() {
    let lock = RwLock::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        *lock.try_write().unwrap() = 2;
        let _guard = lock.try_write().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let mut event_loop = EventLoop::new().unwrap();
    let held = lock.clone();
    let task = event_loop.handle().spawn(async move {
        let _guard = held.write().await;
        std::future::pending::<()>().await;
    });
    event_loop.block_on(async { oneloop_core::yield_now().await });
    assert!(lock.try_read().is_none());
    task.cancel();
    assert_eq!(*lock.try_read().unwrap(), 2);
}

#[test]
fn the_only_handle_borrows_the_value_without_a_lock() {
    let mut lock = RwLock::from(1);
    *lock.get_mut().unwrap() = 2;
    let guard = lock.try_read().unwrap();
    assert!(lock.get_mut().is_none());
    let lock = lock.into_inner().unwrap_err();
    assert_eq!(
        format!("{lock:?} {guard:?} {guard}"),
        "RwLock { value: 2, waiting: 0 } 2 2"
    );
    drop(guard);
    let guard = lock.try_write().unwrap();
    assert_eq!(
        format!("{lock:?}"),
        "RwLock { value: <locked>, waiting: 0 }"
    );
    drop(guard);
    assert_eq!(lock.into_inner().unwrap(), 2);
}
