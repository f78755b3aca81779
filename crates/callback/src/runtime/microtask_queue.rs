//! The microtask queue: callbacks, and futures that are polled there.

use crate::continuation::Once;
use crate::thrown::Thrown;
use oneloop_core::{Key, Slots, wake_guarded};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// A future in the microtask queue.
pub(crate) struct MicroFuture {
    /// None while it runs.
    body: Option<Body>,
    waker: Waker,
}

/// An entry of the queue.
pub(crate) enum Microtask {
    Call(Once),
    Poll(Key<MicroFuture>),
}

/// The part of the queue that wakers on any thread can reach.
#[derive(Default)]
pub(crate) struct Remote {
    // Poisoned locks are used as they are: a list of keys is whole after any panic.
    woken: Mutex<Vec<Key<MicroFuture>>>,
    driver: Mutex<Option<Waker>>,
}

impl Remote {
    /// Queues a future from another thread, or from another program's code.
    pub(crate) fn push_woken(&self, key: Key<MicroFuture>) {
        let woken = &self.woken;
        woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
        self.wake_driver();
    }

    pub(crate) fn take_woken(&self) -> Vec<Key<MicroFuture>> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the driver's waker for the next wake-up.
    pub(crate) fn set_driver(&self, driver: Waker) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }

    fn wake_driver(&self) {
        let driver = self
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(driver) = driver {
            driver.wake(); // after the lock
        }
    }
}

/// The microtasks of a program.
#[derive(Default)]
pub(crate) struct MicrotaskQueue {
    queue: RefCell<VecDeque<Microtask>>,
    futures: RefCell<Slots<MicroFuture>>,
    rejected: RefCell<Vec<Rc<Settlement>>>,
    /// The loop woke a future: the driver opens a scope for it.
    woken: Cell<bool>,
    remote: Arc<Remote>,
}

impl MicrotaskQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Asks for a scope soon, for what was queued outside of one.
    pub(crate) fn want_scope(&self) {
        self.woken.set(true);
        self.remote.wake_driver();
    }

    pub(crate) fn take_woken(&self) -> bool {
        self.woken.take()
    }

    /// Drops all microtasks, and the futures among them. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        // Each is taken before it is dropped: dropping a future may queue microtasks again.
        let queue = self.queue.take();
        let futures = self.futures.take();
        let rejected = self.rejected.take();
        !queue.is_empty() || !futures.is_empty() || !rejected.is_empty()
    }

    pub(crate) fn push(&self, microtask: Microtask) {
        self.queue.borrow_mut().push_back(microtask);
    }

    pub(super) fn next(&self) -> Option<Microtask> {
        self.queue.borrow_mut().pop_front()
    }

    /// True if a promise was rejected that has no waiter yet.
    pub(super) fn has_rejected(&self) -> bool {
        !self.rejected.borrow().is_empty()
    }

    pub(crate) fn push_rejected(&self, settlement: Rc<Settlement>) {
        self.rejected.borrow_mut().push(settlement);
    }

    /// The errors of rejected promises without a waiter. A future that awaits such a promise later
    /// gets the error as well.
    pub(super) fn take_rejected(&self) -> Vec<Thrown> {
        let rejected = self.rejected.take();
        rejected
            .into_iter()
            .filter_map(|settlement| settlement.unhandled())
            .collect()
    }

    /// Queues a future. Its waker is made for its key.
    pub(crate) fn start(&self, body: Body, waker: impl FnOnce(Key<MicroFuture>) -> Waker) {
        let key = self.futures.borrow_mut().insert_with(|key| MicroFuture {
            body: Some(body),
            waker: waker(key),
        });
        self.push(Microtask::Poll(key));
    }

    pub(super) fn poll(&self, key: Key<MicroFuture>) {
        // The body is out of its slot while it runs: it may start and wake others, and itself.
        let taken = self.futures.borrow_mut().get_mut(key).and_then(|future| {
            let body = future.body.take()?;
            Some((body, future.waker.clone()))
        });
        let Some((mut body, waker)) = taken else {
            return; // a wake-up after its end
        };
        let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            // Removed under the borrow, dropped after it: both hold values of the program.
            let future = self.futures.borrow_mut().remove(key);
            drop((future, body));
        } else if let Some(future) = self.futures.borrow_mut().get_mut(key) {
            future.body = Some(body);
        }
    }
}

/// How a promise settled. The result stays here, as a promise may be awaited at any time and more
/// than once.
#[derive(Default)]
pub(crate) struct Settlement {
    pub(crate) result: RefCell<Option<Result<(), Thrown>>>,
    /// One waker for each promise that waits, by its number: they are woken in the order in which
    /// they began to wait.
    waiters: RefCell<BTreeMap<u64, Waker>>,
    next_number: Cell<u64>,
    /// A promise was awaited: a rejection is for that waiter to handle.
    pub(crate) handled: Cell<bool>,
}

impl Settlement {
    pub(crate) fn settle(&self, result: Result<(), Thrown>) {
        self.result.replace(Some(result));
        // The borrow has ended: a waker may run code of the program.
        for waker in self.waiters.take().into_values() {
            wake_guarded(waker);
        }
    }

    /// Wakes this task when it settles, in place of the task that waited under the same number.
    pub(crate) fn wait(&self, number: Option<u64>, waker: &Waker) -> u64 {
        let number = number.unwrap_or_else(|| self.next_number.replace(self.next_number.get() + 1));
        let waker = waker.clone(); // foreign code, so before the borrow
        let before = self.waiters.borrow_mut().insert(number, waker);
        drop(before);
        number
    }

    pub(crate) fn forget(&self, number: u64) {
        let waker = self.waiters.borrow_mut().remove(&number);
        drop(waker);
    }

    #[cfg(test)]
    pub(crate) fn waiter_count(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// The error, if the promise has no waiter.
    pub(crate) fn unhandled(&self) -> Option<Thrown> {
        let result = self.result.borrow();
        let error = result.as_ref()?.as_ref().err()?;
        (!self.handled.get()).then(|| error.clone())
    }
}
