//! Waiting for time to pass, on the clock of the current loop.

use oneloop_core::{Handle, Sleep, Timeout};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Waits for at least `duration`. Cancel safe.
///
/// # Panics
/// Outside a loop.
#[track_caller]
#[doc(alias("delay", "Timer"))]
pub fn sleep(duration: Duration) -> Sleep {
    Handle::current().sleep(duration)
}

/// Waits until `deadline`, or somewhat later. Cancel safe.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Handle::current().sleep_until(deadline)
}

/// Waits for a future for at most `duration`. After that, it drops the future and returns
/// [`Elapsed`](crate::Elapsed). If both complete in the same poll, the future wins. Cancel safe if
/// the future is.
///
/// ```
/// use oneloop::aio::{block_on, timeout, Elapsed};
/// use std::{future, time::Duration};
/// let never = future::pending::<()>();
/// assert_eq!(block_on(async { timeout(Duration::from_millis(1), never).await }), Err(Elapsed));
/// ```
///
/// # Panics
/// Outside a loop.
#[track_caller]
#[doc(alias("wait_for", "with_timeout"))]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Handle::current().timeout(duration, future)
}

/// Waits for a future until `deadline`: see [`timeout`]. One deadline may limit several waits.
/// Cancel safe if the future is.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Handle::current().timeout_at(deadline, future)
}

/// Returns the current time on the loop's clock, which is the virtual time in a test on it: tokio's
/// `time::Instant::now`.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn now() -> Instant {
    Handle::current().now()
}

/// Ticks every `period`, the first time after one period. A tick that passes while no task waits
/// for it is skipped: the next one is due at the next multiple of the period.
///
/// tokio's first tick comes at once: `interval_at(now(), period)` does that. The skipping is tokio's
/// `MissedTickBehavior::Skip`; tokio's default is a burst.
///
/// # Panics
/// Outside a loop, and for a period of zero.
#[track_caller]
#[doc(alias("Ticker", "set_interval", "MissedTickBehavior"))]
pub fn interval(period: Duration) -> Interval {
    interval_at(after(now(), period), period)
}

/// Ticks at `start`, and then as [`interval`].
///
/// ```
/// use oneloop::aio::{block_on, interval_at, now};
/// use std::time::Duration;
///
/// block_on(async {
///     let (start, period) = (now(), Duration::from_millis(2));
///     let mut ticks = interval_at(start, period);
///     assert_eq!(ticks.tick().await, start);
///     assert_eq!(ticks.tick().await, start + period);
/// });
/// ```
///
/// # Panics
/// As [`interval`].
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period");
    let handle = Handle::current();
    Interval {
        period,
        next: start,
        sleep: handle.sleep_until(start),
        handle,
    }
}

/// A source of ticks: see [`interval`].
#[derive(Debug)]
#[doc(alias = "MissedTickBehavior")]
pub struct Interval {
    period: Duration,
    /// The time at which the next tick is due.
    next: Instant,
    sleep: Sleep,
    handle: Handle,
}

/// `time + duration`, or a century later where the sum is not representable.
fn after(time: Instant, duration: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    // The sum of an `Instant` and a long period panics instead of saturating.
    time.checked_add(duration).unwrap_or(time + CENTURY)
}

impl Interval {
    /// Waits for the next tick and returns the time at which it was due. Cancel safe.
    pub async fn tick(&mut self) -> Instant {
        std::future::poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick: see [`Interval::tick`].
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.next;
        // Counted from the time that was due, not from now: the ticks do not drift.
        let late = self.handle.now().saturating_duration_since(due).as_nanos();
        // Missed ticks are skipped rather than delivered in a burst: a task that was late once
        // would otherwise stay busy catching up.
        let periods = u32::try_from(late / self.period.as_nanos() + 1).unwrap_or(u32::MAX);
        self.reset_at(after(due, self.period.saturating_mul(periods)));
        Poll::Ready(due)
    }

    /// Starts again: the next tick is due one period from now, and the later ones follow it, as with
    /// tokio's `reset`. This makes a timeout of inactivity, which each message resets:
    ///
    /// ```
    /// use oneloop::aio::{interval, now, sleep};
    /// use oneloop::{EventLoop, Options};
    /// use std::time::Duration;
    ///
    /// let mut event_loop = EventLoop::with(Options::virtual_time())?;
    /// event_loop.block_on(async {
    ///     let start = now();
    ///     let mut idle = interval(Duration::from_secs(10));
    ///     sleep(Duration::from_secs(7)).await;
    ///     idle.reset();
    ///     assert_eq!(idle.tick().await, start + Duration::from_secs(17));
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// This and the other resets lose the waker of a pending [`Interval::poll_tick`]: poll again.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Starts again: the next tick is due now, and the later ones follow it.
    pub fn reset_immediately(&mut self) {
        self.reset_at(self.handle.now());
    }

    /// Starts again: the next tick is due after `duration`, and the later ones follow it.
    pub fn reset_after(&mut self, duration: Duration) {
        self.reset_at(after(self.handle.now(), duration));
    }

    /// Starts again: the next tick is due at `start`, and the later ones follow it.
    pub fn reset_at(&mut self, start: Instant) {
        self.next = start;
        self.sleep = self.handle.sleep_until(start);
    }

    /// The time from one tick to the next.
    pub fn period(&self) -> Duration {
        self.period
    }
}
