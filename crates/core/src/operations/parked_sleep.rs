//! A sleep that is `Send`, for crates that make one for each request.

use crate::mechanisms::slots::Key;
use crate::mechanisms::timers::Timer;
use crate::operations::parked::refuse;
use crate::operations::sleep::Sleep;
use crate::state::{Handle, LoopState, on_loop};
use crate::tasks::waker::LoopInbox;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

impl Sleep {
    /// Returns the same sleep as a value that is `Send` and `Sync`. It allocates nothing;
    /// [`Handle::park`], which parks any value, allocates twice. Cancel safe.
    ///
    /// ```
    /// use std::time::Duration;
    /// fn assert_send(_: &(impl Send + Sync)) {}
    ///
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let sleep = event_loop.handle().sleep(Duration::from_millis(1)).park();
    /// assert_send(&sleep);
    /// event_loop.block_on(sleep);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn park(mut self) -> ParkedSleep {
        ParkedSleep {
            inbox: Arc::clone(&self.handle.state.inbox),
            timer: TimerState {
                deadline_ns: self.deadline_ns,
                key: self.timer.take(),
                referenced: self.referenced,
            },
        }
    }
}

/// A [`Sleep`] whose timer stays on its loop while this name for it goes to any thread: see
/// [`Sleep::park`].
///
/// Cancel safe: dropping it disarms its timer. In code that another loop runs, or none, the drop
/// sends a job home, which does so in the next turn of its loop.
///
/// # Panics
/// When code that its loop does not run polls or resets it; as [`Parked::with`](crate::Parked::with).
#[must_use = "futures do nothing unless awaited"]
pub struct ParkedSleep {
    inbox: Arc<LoopInbox>,
    timer: TimerState,
}

/// As the fields of a [`Sleep`].
struct TimerState {
    deadline_ns: u64,
    key: Option<Key<Timer<Waker>>>,
    referenced: bool,
}

impl TimerState {
    /// Arms the timer, or replaces its waker. Returns the waker that is left over.
    fn poll(&mut self, state: &LoopState, waker: Waker) -> (Poll<()>, Option<Waker>) {
        let mut timers = state.timers.borrow_mut();
        let Some(key) = self.key else {
            let key = timers.start(self.deadline_ns, waker);
            timers.set_referenced(key, self.referenced);
            self.key = Some(key);
            return (Poll::Pending, None);
        };
        match timers.get_mut(key) {
            Some(armed) => (Poll::Pending, Some(mem::replace(armed, waker))),
            None => (Poll::Ready(()), Some(waker)),
        }
    }
}

impl ParkedSleep {
    /// Starts again: ready at this point in time.
    ///
    /// # Panics
    /// See [`ParkedSleep`].
    #[track_caller]
    pub fn reset_at(&mut self, deadline: Instant) {
        let ParkedSleep { inbox, timer } = self;
        let reset = on_loop(inbox, |state| {
            timer.deadline_ns = state.clock.to_ns(deadline);
            let key = timer.key.take()?;
            state.timers.borrow_mut().stop(key)
        });
        let Some(waker) = reset else {
            self.refuse();
        };
        drop(waker); // foreign code, so after the borrow (rule 1)
    }

    #[cold]
    #[track_caller]
    fn refuse(&self) -> ! {
        refuse("ParkedSleep", &self.inbox, false);
    }
}

impl Future for ParkedSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone(); // foreign code, so before the borrow (rule 2)
        let ParkedSleep { inbox, timer } = &mut *self;
        let Some((polled, left)) = on_loop(inbox, |state| timer.poll(state, waker)) else {
            self.refuse();
        };
        drop(left);
        polled
    }
}

impl Drop for ParkedSleep {
    fn drop(&mut self) {
        let Some(key) = self.timer.key else {
            return;
        };
        let stop = move |state: &LoopState| state.timers.borrow_mut().stop(key);
        if let Some(waker) = on_loop(&self.inbox, stop) {
            drop(waker);
            return;
        }
        let stop = move || drop(stop(&Handle::current().state));
        // Refused when the loop is gone, and with it the timer.
        self.inbox
            .send(|arrivals| arrivals.jobs.push(Box::new(stop)));
    }
}

impl fmt::Debug for ParkedSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParkedSleep")
    }
}
