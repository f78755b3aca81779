//! Timers to be awaited: Node's `timers/promises`.
//!
//! Awaited in [`spawn_micro`](crate::spawn_micro), they resume in the microtasks of the callback that
//! ends them, as in Node. They may be awaited in any other task, too.

use super::{Timeout, clear_timeout, set_timeout as start_timeout};
use crate::abort::{AbortListenerId, AbortSignal};
use crate::error::Error;
use crate::immediates::{Immediate, clear_immediate, set_immediate as start_immediate};
use oneloop_core::wake_guarded;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How many microtasks later than without one a wait with a signal ends: Node hands its promise on
/// through `finally`.
const SIGNAL_HOPS: u32 = 5;

/// How a wait ended, for whoever awaits it.
#[derive(Default)]
struct Settled {
    result: RefCell<Option<Result<(), Error>>>,
    waker: Cell<Option<Waker>>,
    /// How often it is still to be looked at in vain: each time is one microtask.
    hops: Cell<u32>,
}

impl Settled {
    fn settle(&self, result: Result<(), Error>) {
        self.result.borrow_mut().get_or_insert(result);
        if let Some(waker) = self.waker.take() {
            wake_guarded(waker);
        }
    }
}

enum Timer {
    Timeout(Timeout),
    Immediate(Immediate),
    /// The signal was aborted before it began.
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

/// Ready after a time: see [`set_timeout`] and [`set_immediate`]. Cancel safe: dropped, the timer is
/// cleared.
#[must_use = "dropped, it is cleared"]
pub struct Delay {
    settled: Rc<Settled>,
    timer: Rc<Timer>,
    listening: Option<(AbortSignal, AbortListenerId)>,
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delay({:?})", self.settled.result.borrow())
    }
}

impl Delay {
    fn new(signal: Option<&AbortSignal>, start: impl FnOnce(Rc<Settled>) -> Timer) -> Self {
        let settled = Rc::<Settled>::default();
        if signal.is_some_and(AbortSignal::is_aborted) {
            settled.hops.set(1); // to await what is there already takes a microtask, too
            settled.settle(Err(Error::abort()));
            let timer = Rc::new(Timer::None);
            return Delay {
                settled,
                timer,
                listening: None,
            };
        }
        if signal.is_some() {
            settled.hops.set(SIGNAL_HOPS);
        }
        let timer = Rc::new(start(Rc::clone(&settled)));
        let listening = signal.map(|signal| {
            let (settled, timer) = (Rc::clone(&settled), Rc::clone(&timer));
            let id = signal.on_abort(move |_| {
                timer.clear();
                settled.settle(Err(Error::abort()));
            });
            (signal.clone(), id)
        });
        Delay {
            settled,
            timer,
            listening,
        }
    }

    /// Lets the program end before it is ready.
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
        let result = self.settled.result.borrow().clone();
        let hops = &self.settled.hops;
        match result {
            None => self.settled.waker.set(Some(cx.waker().clone())),
            Some(result) if hops.get() == 0 => return Poll::Ready(result),
            Some(_) => {
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

/// Waits so many milliseconds, as [`set_timeout`](crate::set_timeout) does: they begin now. An abort of
/// the signal ends the wait with `ABORT_ERR`.
///
/// ```
/// use oneloop_callback::{run, spawn_micro, timers::promises};
/// run(|| {
///     drop(spawn_micro(async {
///         promises::set_timeout(1, None).await?;
///         println!("a millisecond later");
///         Ok::<_, oneloop_callback::Error>(())
///     }));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_timeout<'a>(ms: impl Into<f64>, signal: impl Into<Option<&'a AbortSignal>>) -> Delay {
    let ms = ms.into();
    Delay::new(signal.into(), |settled| {
        Timer::Timeout(start_timeout(move || settled.settle(Ok(())), ms))
    })
}

/// Waits for the check phase, as [`set_immediate`](crate::set_immediate) does.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_immediate<'a>(signal: impl Into<Option<&'a AbortSignal>>) -> Delay {
    Delay::new(signal.into(), |settled| {
        Timer::Immediate(start_immediate(move || settled.settle(Ok(()))))
    })
}
