//! Microtasks: what runs before anything else of the loop does, and the futures that live there.
//!
//! A promise reaction in JavaScript is a future's resumption here: [`spawn_micro`] polls a future in
//! the microtask queue, so that after each of its `await`s it goes on in Node's order.

use crate::continuation::{Once, once};
use crate::runtime::{Left, Runtime, current, try_current};
use crate::thrown::{Outcome, Thrown};
use oneloop_core::{Key, Slots, wake_guarded};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// A future in the microtask queue; its body is out while it runs.
struct MicroTask {
    body: Option<Body>,
    waker: Waker,
}

enum Micro {
    Call(Once),
    Poll(Key<MicroTask>),
}

/// What wakers reach from any thread.
#[derive(Default)]
struct Remote {
    woken: Mutex<Vec<Key<MicroTask>>>,
    driver: Mutex<Option<Waker>>,
}

impl Remote {
    fn wake_driver(&self) {
        let driver = self
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

#[derive(Default)]
pub(crate) struct Microtasks {
    queue: RefCell<VecDeque<Micro>>,
    tasks: RefCell<Slots<MicroTask>>,
    rejected: RefCell<Vec<Rc<Settled>>>,
    /// The loop woke a future: a scope is to be opened for it.
    woken: Cell<bool>,
    remote: Arc<Remote>,
}

impl Microtasks {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Has a scope opened soon, for what was queued outside of one.
    pub(crate) fn want_scope(&self) {
        self.woken.set(true);
        self.remote.wake_driver();
    }

    /// Forgets all microtasks, and drops the futures among them. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let queue = self.queue.take();
        let tasks = self.tasks.take();
        let rejected = self.rejected.take();
        !queue.is_empty() || !tasks.is_empty() || !rejected.is_empty()
    }

    fn push(&self, micro: Micro) {
        self.queue.borrow_mut().push_back(micro);
    }

    fn next(&self) -> Option<Micro> {
        self.queue.borrow_mut().pop_front()
    }

    /// True if promises were rejected for whom nobody waits yet.
    pub(crate) fn has_rejected(&self) -> bool {
        !self.rejected.borrow().is_empty()
    }

    /// The errors of rejected promises without a waiter. A future that awaits such a promise later
    /// gets the error as well.
    pub(crate) fn take_rejected(&self) -> Vec<Thrown> {
        let rejected = self.rejected.take();
        rejected
            .into_iter()
            .filter_map(|settled| settled.unhandled())
            .collect()
    }

    fn start(&self, body: Body) {
        let remote = Arc::clone(&self.remote);
        let key = self.tasks.borrow_mut().insert_with(|key| MicroTask {
            body: Some(body),
            waker: Waker::from(Arc::new(MicroWaker { key, remote })),
        });
        self.push(Micro::Poll(key));
    }

    fn poll(&self, key: Key<MicroTask>) {
        let taken = self.tasks.borrow_mut().get_mut(key).and_then(|task| {
            let body = task.body.take()?;
            Some((body, task.waker.clone()))
        });
        let Some((mut body, waker)) = taken else {
            return;
        };
        if body
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            let task = self.tasks.borrow_mut().remove(key);
            drop((task, body));
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(key) {
            task.body = Some(body);
        }
    }
}

/// Queues its task as a microtask; outside of a scope it has one opened.
struct MicroWaker {
    key: Key<MicroTask>,
    remote: Arc<Remote>,
}

impl Wake for MicroWaker {
    fn wake(self: Arc<Self>) {
        match try_current().filter(|own| Arc::ptr_eq(&own.microtasks.remote, &self.remote)) {
            Some(runtime) => {
                runtime.microtasks.push(Micro::Poll(self.key));
                if !runtime.is_in_scope() {
                    runtime.microtasks.want_scope();
                }
            }
            None => {
                let woken = &self.remote.woken;
                woken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(self.key);
                self.remote.wake_driver();
            }
        }
    }
}

impl Runtime {
    /// Runs microtasks until there are none; one that throws does not keep the others from running.
    pub(crate) fn run_microtasks(self: &Rc<Self>) -> Result<(), Left> {
        while let Some(micro) = self.microtasks.next() {
            let run = match micro {
                Micro::Poll(key) => self.call(|| {
                    self.microtasks.poll(key);
                    Ok(())
                }),
                Micro::Call(callback) => self.call(callback),
            };
            if run.is_err() && self.process.is_ending() {
                return Err(Left);
            }
        }
        Ok(())
    }

    /// Opens a scope for futures that the loop or another thread woke.
    pub(crate) async fn drive_microtasks(self: Rc<Self>) {
        poll_fn(|cx| {
            let remote = &self.microtasks.remote;
            let driver = cx.waker().clone();
            *remote.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
            let woken =
                std::mem::take(&mut *remote.woken.lock().unwrap_or_else(PoisonError::into_inner));
            let mut is_woken = self.microtasks.woken.take();
            for key in woken {
                self.microtasks.push(Micro::Poll(key));
                is_woken = true;
            }
            if is_woken {
                self.scope(|| Ok(()));
            }
            Poll::<()>::Pending
        })
        .await;
    }
}

/// Calls a function among the microtasks: `queueMicrotask`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn queue_microtask<O: Outcome>(f: impl FnOnce() -> O + 'static) {
    current().microtasks.push(Micro::Call(once(f)));
}

/// How a promise settled. The result stays here, as a promise may be awaited at any time and more
/// than once.
#[derive(Default)]
struct Settled {
    result: RefCell<Option<Result<(), Thrown>>>,
    /// One waker for each promise that waits, by its number: they are woken in the order in which they
    /// began to wait.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next_number: Cell<u64>,
    /// Somebody waits or waited: a rejection is theirs to handle.
    handled: Cell<bool>,
}

impl Settled {
    fn settle(&self, result: Result<(), Thrown>) {
        self.result.replace(Some(result));
        for waker in self.waiting.take().into_values() {
            wake_guarded(waker);
        }
    }

    /// Wakes this task when it settles, in place of the one that waited under the number before.
    fn wait(&self, number: Option<u64>, waker: &Waker) -> u64 {
        let number = number.unwrap_or_else(|| self.next_number.replace(self.next_number.get() + 1));
        let waker = waker.clone(); // foreign code, so before the borrow
        let before = self.waiting.borrow_mut().insert(number, waker);
        drop(before);
        number
    }

    fn forget(&self, number: u64) {
        let waker = self.waiting.borrow_mut().remove(&number);
        drop(waker);
    }

    /// The error, if the promise has no waiter.
    fn unhandled(&self) -> Option<Thrown> {
        let result = self.result.borrow();
        let error = result.as_ref()?.as_ref().err()?;
        (!self.handled.get()).then(|| error.clone())
    }
}

/// Runs a future in the microtask queue, as JavaScript resumes an `async` function. It is polled
/// first by the next microtask, never before this returns.
///
/// If it ends in an `Err` or a panic, and nobody waits for the [`Promise`] by the time that all
/// microtasks have run, that is an unhandled rejection: see
/// [`on_uncaught_exception`](crate::process::on_uncaught_exception). The promise can still be awaited
/// after that, and gives the error.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn spawn_micro<F>(future: F) -> Promise
where
    F: Future<Output: Outcome> + 'static,
{
    let runtime = current();
    let settled = Rc::<Settled>::default();
    let inside = Rc::clone(&settled);
    let mut future = Box::pin(future);
    runtime.microtasks.start(Box::pin(async move {
        let poll = |cx: &mut Context<'_>| {
            let payload = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => return poll.map(Outcome::into_result),
                Err(payload) => payload,
            };
            match current().thrown_by(payload) {
                Some(thrown) => Poll::Ready(Err(thrown)),
                None => Poll::Pending, // it ended the program
            }
        };
        let result = poll_fn(poll).await;
        inside.settle(result);
        if let Some(runtime) = try_current().filter(|_| inside.unhandled().is_some()) {
            runtime.microtasks.rejected.borrow_mut().push(inside);
        }
    }));
    Promise::new(settled)
}

/// The end of a future that [`spawn_micro`] runs: `Ok`, or what it threw. Dropping it lets the
/// future go on. Clones are the same promise; each can be awaited, at any time and more than once.
#[must_use = "a rejection that nobody waits for ends the program"]
pub struct Promise {
    settled: Rc<Settled>,
    /// It was polled, and has not given its result since.
    is_awaited: bool,
    /// Its place among those that wait.
    number: Option<u64>,
}

impl Promise {
    fn new(settled: Rc<Settled>) -> Self {
        Promise {
            settled,
            is_awaited: false,
            number: None,
        }
    }
}

impl Clone for Promise {
    fn clone(&self) -> Self {
        Promise::new(Rc::clone(&self.settled))
    }
}

/// A promise that is dropped waits no longer: many may wait for one that settles late or never.
impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.settled.forget(number);
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Promise({:?})", self.settled.result.borrow())
    }
}

impl Future for Promise {
    type Output = Result<(), Thrown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.settled.handled.set(true);
        let is_first = !std::mem::replace(&mut self.is_awaited, true);
        let result = self.settled.result.borrow().clone();
        match result {
            Some(result) if !is_first => {
                self.is_awaited = false;
                return Poll::Ready(result);
            }
            // Who awaits what has settled before goes on in the next microtask, and not at once.
            Some(_) => cx.waker().wake_by_ref(),
            None => self.number = Some(self.settled.wait(self.number, cx.waker())),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(promise: &mut Promise) -> Poll<Result<(), Thrown>> {
        Pin::new(promise).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_promise_keeps_no_wakers_of_those_that_gave_up_waiting() {
        let settled = Rc::<Settled>::default();
        let mut waits = Promise::new(Rc::clone(&settled));
        for _ in 0..100 {
            let mut gives_up = waits.clone();
            assert!(poll(&mut gives_up).is_pending());
            assert!(poll(&mut waits).is_pending());
            assert_eq!(settled.waiting.borrow().len(), 2);
        }
        assert_eq!(settled.waiting.borrow().len(), 1);
        settled.settle(Ok(()));
        assert!(poll(&mut waits).is_ready());
    }
}
