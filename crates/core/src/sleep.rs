//! Waiting for a time.

use crate::clock::saturating_ns;
use crate::handle::Handle;
use crate::slots::Key;
use crate::timers::Timer;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A future that is ready at its deadline, never before: see [`Handle::sleep`].
///
/// It keeps the loop alive while it waits, unless told otherwise. Dropping it disarms its timer.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    handle: Handle,
    deadline_ns: u64,
    timer: Option<Key<Timer<Waker>>>,
    referenced: bool,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self
            .deadline_ns
            .saturating_sub(self.handle.inner.clock.now_ns());
        write!(f, "Sleep({:?} left)", Duration::from_nanos(left))
    }
}

impl Sleep {
    pub(crate) fn after(handle: Handle, duration: Duration) -> Self {
        let deadline_ns = handle
            .inner
            .clock
            .now_ns()
            .saturating_add(saturating_ns(duration));
        Sleep {
            handle,
            deadline_ns,
            timer: None,
            referenced: true,
        }
    }

    pub(crate) fn until(handle: Handle, deadline: Instant) -> Self {
        let deadline_ns = handle.inner.clock.to_ns(deadline);
        Sleep {
            handle,
            deadline_ns,
            timer: None,
            referenced: true,
        }
    }

    /// Says whether this sleep keeps the loop alive.
    pub fn set_referenced(&mut self, referenced: bool) {
        self.referenced = referenced;
        if let Some(timer) = self.timer {
            self.handle
                .inner
                .timers
                .borrow_mut()
                .set_referenced(timer, referenced);
        }
    }

    /// Begins anew: ready after that duration from now on.
    pub fn reset(&mut self, duration: Duration) {
        self.disarm();
        let now_ns = self.handle.inner.clock.now_ns();
        self.deadline_ns = now_ns.saturating_add(saturating_ns(duration));
    }

    /// When it is over, in nanoseconds on the loop's clock.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    fn arm(&mut self, waker: &Waker) {
        let waker = waker.clone(); // foreign code, so before the borrow
        let mut timers = self.handle.inner.timers.borrow_mut();
        let timer = timers.start(self.deadline_ns, waker);
        timers.set_referenced(timer, self.referenced);
        self.timer = Some(timer);
    }

    fn disarm(&mut self) {
        let Some(timer) = self.timer.take() else {
            return;
        };
        let waker = self.handle.inner.timers.borrow_mut().stop(timer);
        drop(waker);
    }

    /// Gives an armed timer the waker of who polls now. False once it has fired.
    fn rewake(&self, timer: Key<Timer<Waker>>, waker: &Waker) -> bool {
        let waker = waker.clone(); // foreign code, so before the borrow
        let mut timers = self.handle.inner.timers.borrow_mut();
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
            // Even a deadline in the past waits for the timers' phase: a sleep always yields.
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
