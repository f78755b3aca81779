//! `queueMicrotask`, and futures that run as JavaScript's `async` functions do.
//!
//! A promise reaction in JavaScript is a future's resumption here: [`spawn_micro`] polls a future
//! in the microtask queue, so that after each of its `await`s it continues in Node's order.

use crate::continuation::once;
use crate::runtime::{MicroFuture, Microtask, Remote, Runtime, Settlement, current, try_current};
use crate::thrown::{IntoResult, Thrown, callback_of};
use oneloop_core::Key;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Calls a function among the microtasks: `queueMicrotask`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn queue_microtask<O: IntoResult>(f: impl FnOnce() -> O + 'static) {
    current().microtasks.push(Microtask::Call(once(f)));
}

/// Runs a future in the microtask queue, as JavaScript resumes an `async` function. It is polled
/// first by the next microtask, never before this returns.
///
/// If the future ends in an `Err` or a panic, and no [`Promise`] of it was awaited by the time that
/// all microtasks have run, that is an unhandled rejection: see
/// [`on_uncaught_exception`](crate::process::on_uncaught_exception). The promise can still be
/// awaited after that, and returns the error.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias("async", "await", "Promise"))]
pub fn spawn_micro<F>(future: F) -> Promise
where
    F: Future<Output: IntoResult> + 'static,
{
    let runtime = current();
    let settlement = Rc::<Settlement>::default();
    let inside = Rc::clone(&settlement);
    let of = callback_of(&future);
    let mut future = Box::pin(future);
    let body = async move {
        // A panic rejects the promise, as a throw in an `async` function does.
        let poll = |cx: &mut Context<'_>| {
            let payload = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => return poll.map(|returned| of.result(returned)),
                Err(payload) => payload,
            };
            match current().thrown_by(payload) {
                Some(thrown) => Poll::Ready(Err(thrown)),
                None => Poll::Pending, // it ended the program
            }
        };
        let result = poll_fn(poll).await;
        inside.settle(result);
        // Whether the rejection is handled is known only after all microtasks: one of them may
        // await the promise.
        if let Some(runtime) = try_current().filter(|_| inside.unhandled().is_some()) {
            runtime.microtasks.push_rejected(inside);
        }
    };
    let remote = Arc::clone(runtime.microtasks.remote());
    let waker = |key| Waker::from(Arc::new(MicroWaker { key, remote }));
    runtime.microtasks.start(Box::pin(body), waker);
    Promise::new(settlement)
}

/// The result of a future that [`spawn_micro`] runs: `Ok`, or what it threw. Dropping it does not
/// stop the future. Clones are the same promise; each can be awaited, at any time and more than
/// once.
#[must_use = "a rejection without a waiter ends the program"]
#[doc(alias = "then")]
pub struct Promise {
    settlement: Rc<Settlement>,
    /// True from a first poll until the result is returned.
    is_awaited: bool,
    /// The number of its waker among those that wait, once it waits.
    number: Option<u64>,
}

impl Promise {
    fn new(settlement: Rc<Settlement>) -> Self {
        Promise {
            settlement,
            is_awaited: false,
            number: None,
        }
    }
}

impl Clone for Promise {
    fn clone(&self) -> Self {
        Promise::new(Rc::clone(&self.settlement))
    }
}

/// A dropped promise leaves no waker behind: a promise that settles late or never may have had many
/// waiters.
impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.settlement.forget(number);
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Promise({:?})", self.settlement.result.borrow())
    }
}

impl Future for Promise {
    type Output = Result<(), Thrown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // As in JavaScript, a rejection counts as handled once the promise is awaited.
        self.settlement.handled.set(true);
        let is_first = !std::mem::replace(&mut self.is_awaited, true);
        let result = self.settlement.result.borrow().clone();
        match result {
            Some(result) if !is_first => {
                self.is_awaited = false;
                return Poll::Ready(result);
            }
            // ECMAScript: `await` of a settled promise resumes in a later microtask, never at once.
            Some(_) => cx.waker().wake_by_ref(),
            None => self.number = Some(self.settlement.wait(self.number, cx.waker())),
        }
        Poll::Pending
    }
}

/// Queues its future as a microtask. Outside of a scope, the driver opens one.
struct MicroWaker {
    key: Key<MicroFuture>,
    // Not the runtime: a waker may be sent to another thread.
    remote: Arc<Remote>,
}

impl Wake for MicroWaker {
    fn wake(self: Arc<Self>) {
        match try_current().filter(|own| Arc::ptr_eq(own.microtasks.remote(), &self.remote)) {
            // This program's own thread: a microtask of the callback that runs now, as in
            // JavaScript.
            Some(runtime) => {
                runtime.microtasks.push(Microtask::Poll(self.key));
                if !runtime.is_in_scope() {
                    runtime.microtasks.want_scope();
                }
            }
            // Another thread, or the code of another program: the driver takes the future from
            // there.
            None => self.remote.push_woken(self.key),
        }
    }
}

impl Runtime {
    /// Opens a scope for futures that the loop or another thread woke.
    pub(crate) async fn drive_microtasks(self: Rc<Self>) {
        poll_fn(|cx| {
            let remote = self.microtasks.remote();
            // Before the queue is taken: a wake-up in between must not be lost.
            remote.set_driver(cx.waker().clone());
            let mut is_woken = self.microtasks.take_woken();
            for key in remote.take_woken() {
                self.microtasks.push(Microtask::Poll(key));
                is_woken = true;
            }
            if is_woken {
                self.scope(|| Ok(())); // an empty scope: its end runs the microtasks
            }
            Poll::<()>::Pending
        })
        .await;
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
        let settlement = Rc::<Settlement>::default();
        let mut waits = Promise::new(Rc::clone(&settlement));
        for _ in 0..100 {
            let mut gives_up = waits.clone();
            assert!(poll(&mut gives_up).is_pending());
            assert!(poll(&mut waits).is_pending());
            assert_eq!(settlement.waiter_count(), 2);
        }
        assert_eq!(settlement.waiter_count(), 1);
        settlement.settle(Ok(()));
        assert!(poll(&mut waits).is_ready());
    }
}
