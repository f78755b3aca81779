//! Timers as futures: Node's `timers/promises`.
//!
//! Awaited in [`spawn_micro`](crate::spawn_micro), they resume in the microtasks of the callback
//! that ends them, as in Node. Any other task may await them as well.

use super::{Timeout, clear_timeout, set_timeout as start_timeout};
use crate::abort::{AbortListenerId, AbortSignal};
use crate::error::Error;
use crate::immediates::{Immediate, clear_immediate, set_immediate as start_immediate};
use crate::milliseconds::Milliseconds;
use oneloop_core::wake_guarded;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How many microtasks later a wait with a signal ends than a wait without one: Node returns
/// `promise.finally(…)` then, and V8 takes five microtasks to resolve it.
const SIGNAL_HOPS: u32 = 5;

/// The result of a wait, and its waiter.
#[derive(Default)]
struct DelayResult {
    result: RefCell<Option<Result<(), Error>>>,
    waker: Cell<Option<Waker>>,
    /// The number of microtasks that are still to pass once there is a result: one for each poll.
    hops: Cell<u32>,
}

impl DelayResult {
    fn settle(&self, result: Result<(), Error>) {
        // The first result stays: an abort may follow the timer before the task is polled.
        self.result.borrow_mut().get_or_insert(result);
        if let Some(waker) = self.waker.take() {
            wake_guarded(waker);
        }
    }
}

enum Timer {
    Timeout(Timeout),
    Immediate(Immediate),
    /// The signal was aborted before the wait began.
    None,
}

impl Timer {
    fn clear(&self) {
        match self {
            Timer::Timeout(timeout) => clear_timeout(*timeout),
            Timer::Immediate(immediate) => clear_immediate(immediate),
            Timer::None => {}
        }
    }
}

/// Ready after a time: see [`set_timeout`] and [`set_immediate`]. Cancel safe: dropping it clears
/// the timer.
#[must_use = "dropping it clears the timer"]
pub struct Delay {
    result: Rc<DelayResult>,
    timer: Rc<Timer>,
    listening: Option<(AbortSignal, AbortListenerId)>,
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delay({:?})", self.result.result.borrow())
    }
}

impl Delay {
    fn new(signal: Option<&AbortSignal>, start: impl FnOnce(Rc<DelayResult>) -> Timer) -> Self {
        let result = Rc::<DelayResult>::default();
        if signal.is_some_and(AbortSignal::is_aborted) {
            result.hops.set(1); // `await` of a settled promise takes a microtask, too
            result.settle(Err(Error::abort()));
            return Delay {
                result,
                timer: Rc::new(Timer::None),
                listening: None,
            };
        }
        if signal.is_some() {
            result.hops.set(SIGNAL_HOPS);
        }
        // Shared with the abort listener, which clears it.
        let timer = Rc::new(start(Rc::clone(&result)));
        let listening = signal.map(|signal| {
            let (result, timer) = (Rc::clone(&result), Rc::clone(&timer));
            let id = signal.on_abort(move |_| {
                timer.clear();
                result.settle(Err(Error::abort()));
            });
            (signal.clone(), id)
        });
        Delay {
            result,
            timer,
            listening,
        }
    }

    /// Allows the program to end before it is ready.
    pub fn unref(self) -> Self {
        match &*self.timer {
            Timer::Timeout(timeout) => drop(timeout.unref()),
            Timer::Immediate(immediate) => drop(immediate.unref()),
            Timer::None => {}
        }
        self
    }
}

impl Future for Delay {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = self.result.result.borrow().clone();
        let hops = &self.result.hops;
        match result {
            None => self.result.waker.set(Some(cx.waker().clone())),
            Some(result) if hops.get() == 0 => return Poll::Ready(result),
            Some(_) => {
                // In the microtask queue, each wake-up is one microtask.
                hops.set(hops.get() - 1);
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.timer.clear();
        if let Some((signal, id)) = self.listening.take() {
            signal.off(id);
        }
    }
}

/// Waits `ms` milliseconds from now, as [`set_timeout`](crate::set_timeout) does. An abort of the
/// signal ends the wait with `ABORT_ERR`.
///
/// ```
/// use oneloop::callback::{run, spawn_micro, timers::promises};
/// run(|| {
///     drop(spawn_micro(async {
///         promises::set_timeout(1, None).await?;
///         println!("a millisecond later");
///         Ok::<_, oneloop::callback::Error>(())
///     }));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_timeout<'a>(ms: impl Milliseconds, signal: impl Into<Option<&'a AbortSignal>>) -> Delay {
    let ms = ms.to_ms();
    Delay::new(signal.into(), |result| {
        Timer::Timeout(start_timeout(move || result.settle(Ok(())), ms))
    })
}

/// Waits for the check phase, as [`set_immediate`](crate::set_immediate) does.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_immediate<'a>(signal: impl Into<Option<&'a AbortSignal>>) -> Delay {
    Delay::new(signal.into(), |result| {
        Timer::Immediate(start_immediate(move || result.settle(Ok(()))))
    })
}
