//! Wakers of the tasks, on any thread, that wait for one thing to change.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The tasks that wait for one change. A waiter registers itself *before* it looks at what changes;
/// a change between the look and the registration would otherwise wake nothing.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: Mutex<Vec<Waker>>,
}

impl Waiters {
    /// Registers a waiter, once however often it is polled.
    pub(crate) fn add(&self, waker: &Waker) {
        let mut wakers = self.lock();
        // A task may be polled for other reasons; without this, the list would grow with each of
        // them.
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Wakes all waiters. The lock is released first: a waker is foreign code.
    pub(crate) fn wake(&self) {
        let wakers = mem::take(&mut *self.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        // No code that holds the lock can panic half-way through a change of the list.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
