//! Waiting for a point in time.

use crate::mechanisms::clock::{Clock, saturating_ns};
use crate::mechanisms::slots::Key;
use crate::mechanisms::timers::Timer;
use crate::state::Handle;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

impl Handle {
    /// The current time on the loop's clock.
    #[doc(alias = "uv_now")]
    pub fn now(&self) -> Instant {
        self.state.clock.now()
    }

    /// The loop's clock.
    pub fn clock(&self) -> &Clock {
        &self.state.clock
    }

    /// Waits for at least this duration, from now on. Cancel safe.
    #[doc(alias = "call_later")]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.clone(), after(self.clock(), duration))
    }

    /// Waits until this point in time, at least. Cancel safe.
    #[doc(alias = "call_at")]
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(self.clone(), self.clock().to_ns(deadline))
    }
}

/// The deadline in nanoseconds of a wait that begins now.
// A new look at the clock instead of the phase's time: after a long run, a wait from that time
// would be too short (rule 10).
fn after(clock: &Clock, duration: Duration) -> u64 {
    clock.now_ns().saturating_add(saturating_ns(duration))
}

/// A future that is ready at its deadline, never before: see [`Handle::sleep`].
///
/// It keeps the loop alive while it waits, unless [`Sleep::set_referenced`] changes that. Cancel
/// safe: dropping it disarms its timer.
#[must_use = "futures do nothing unless awaited"]
#[doc(alias("uv_timer_t", "Delay"))]
pub struct Sleep {
    pub(super) handle: Handle,
    pub(super) deadline_ns: u64,
    /// Present once it has been polled. Stale once it has fired.
    pub(super) timer: Option<Key<Timer<Waker>>>,
    pub(super) referenced: bool,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self
            .deadline_ns
            .saturating_sub(self.handle.state.clock.now_ns());
        write!(f, "Sleep({:?} left)", Duration::from_nanos(left))
    }
}

impl Sleep {
    fn new(handle: Handle, deadline_ns: u64) -> Self {
        Sleep {
            handle,
            deadline_ns,
            timer: None,
            referenced: true,
        }
    }

    /// Sets whether this sleep keeps the loop alive. It does by default.
    #[doc(alias("unref", "uv_unref"))]
    pub fn set_referenced(&mut self, referenced: bool) {
        self.referenced = referenced;
        if let Some(timer) = self.timer {
            let mut timers = self.handle.state.timers.borrow_mut();
            timers.set_referenced(timer, referenced);
        }
    }

    /// Starts again: ready after this duration from now on.
    #[doc(alias = "uv_timer_again")]
    pub fn reset(&mut self, duration: Duration) {
        self.start_again(after(self.handle.clock(), duration));
    }

    /// Starts again: ready at this point in time.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.start_again(self.handle.clock().to_ns(deadline));
    }

    fn start_again(&mut self, deadline_ns: u64) {
        // Disarmed instead of moved: the next poll arms it, with the waker of the task that polls.
        self.disarm();
        self.deadline_ns = deadline_ns;
    }

    /// The deadline in nanoseconds on the loop's clock.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    fn arm(&mut self, waker: &Waker) {
        let waker = waker.clone(); // foreign code, so before the borrow (rule 2)
        let mut timers = self.handle.state.timers.borrow_mut();
        // Armed at the first poll: a sleep that loses its race before that costs nothing.
        let timer = timers.start(self.deadline_ns, waker);
        timers.set_referenced(timer, self.referenced);
        self.timer = Some(timer);
    }

    fn disarm(&mut self) {
        let Some(timer) = self.timer.take() else {
            return;
        };
        let waker = self.handle.state.timers.borrow_mut().stop(timer);
        drop(waker);
    }

    /// Replaces the waker of an armed timer. False if it has fired.
    fn rewake(&self, timer: Key<Timer<Waker>>, waker: &Waker) -> bool {
        let waker = waker.clone(); // foreign code, so before the borrow (rule 2)
        let mut timers = self.handle.state.timers.borrow_mut();
        let Some(armed) = timers.get_mut(timer) else {
            return false;
        };
        let before = std::mem::replace(armed, waker);
        drop(timers);
        drop(before);
        true
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.timer {
            Some(timer) if self.rewake(timer, cx.waker()) => Poll::Pending,
            Some(_) => Poll::Ready(()),
            // A deadline in the past waits for the timers' phase, too: a loop around a sleep that
            // did not yield would keep all other tasks from running.
            None => {
                self.arm(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
