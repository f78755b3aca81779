//! Waiting for time to pass, on the clock of the current loop.

use crate::deadline::{current_deadline, nearest};
use oneloop_core::{Handle, Sleep, Stream, Timeout};
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
/// [`Elapsed`](crate::Elapsed). If both complete in the same poll, the future wins. Inside of a
/// [`deadline`](crate::deadline) that is nearer, it ends there. Cancel safe if the future is.
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
    let handle = Handle::current();
    match current_deadline() {
        None => handle.timeout(duration, future),
        Some(deadline) => {
            let at = after(handle.now(), duration);
            handle.timeout_at(at.min(deadline), future)
        }
    }
}

/// Waits for a future until `deadline`: see [`timeout`]. One point in time may limit several waits.
/// A [`deadline`](crate::deadline()) also limits what the future calls. Cancel safe if the future is.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Handle::current().timeout_at(nearest(deadline), future)
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
/// [`Interval::missed_ticks`] changes that.
///
/// tokio's first tick comes at once: `interval_at(now(), period)` does that. tokio's default for
/// missed ticks is a burst.
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
        missed_ticks: MissedTicks::default(),
    }
}

/// What an [`Interval`] does about ticks that passed while no task waited for them: tokio's
/// `MissedTickBehavior`.
///
/// ```text
/// expected:  1    2    3    4    5    6    |    a task that takes 2½ periods after tick 1
/// Burst:     1 ─────────── 234  5    6    |
/// Delay:     1 ─────────── 2    3    4    |
/// Skip:      1 ─────────── 2 5  6         |
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTicks {
    /// All of them come at once, and then the interval is in time again: for work of which each
    /// piece counts. tokio's default.
    Burst,
    /// They are dropped, and the next tick is due one period after the late one: for pauses
    /// between pieces of work. A tick that is late by 5 ms or less counts as in time, as in tokio,
    /// so that an interval does not drift because of the other tasks of its loop.
    Delay,
    /// They are dropped, and the next tick is due at the next multiple of the period: for a clock.
    /// The default.
    #[default]
    Skip,
}

/// How late a tick may be to count as in time: tokio's allowance.
const IN_TIME: Duration = Duration::from_millis(5);

/// A source of ticks: see [`interval`].
///
/// It is a stream of the crate [futures-core](https://docs.rs/futures-core) as well, which never
/// ends.
#[derive(Debug)]
pub struct Interval {
    /// What happens to ticks that were missed; it may be changed at any time.
    ///
    /// ```
    /// use oneloop::aio::{MissedTicks, interval, now, sleep};
    /// use oneloop::{EventLoop, Options};
    /// use std::time::Duration;
    ///
    /// const SECOND: Duration = Duration::from_secs(1);
    /// let mut event_loop = EventLoop::with(Options::virtual_time())?;
    /// event_loop.block_on(async {
    ///     let (start, mut ticks) = (now(), interval(SECOND));
    ///     ticks.missed_ticks = MissedTicks::Burst;
    ///     sleep(3 * SECOND).await;
    ///     for second in 1..=4 {
    ///         assert_eq!(ticks.tick().await, start + second * SECOND);
    ///     }
    ///     assert_eq!(now(), start + 4 * SECOND); // three at once, and the fourth in time
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "set_missed_tick_behavior")]
    pub missed_ticks: MissedTicks,
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
        self.reset_at(self.next_after(due));
        Poll::Ready(due)
    }

    /// The time of the tick that follows the one that was due at `due`.
    fn next_after(&self, due: Instant) -> Instant {
        let now = self.handle.now();
        let late = now.saturating_duration_since(due);
        match self.missed_ticks {
            MissedTicks::Delay if late > IN_TIME => after(now, self.period),
            // Counted from the time that was due, not from now: the ticks do not drift.
            MissedTicks::Burst | MissedTicks::Delay => after(due, self.period),
            MissedTicks::Skip => {
                let periods = late.as_nanos() / self.period.as_nanos() + 1;
                let periods = u32::try_from(periods).unwrap_or(u32::MAX);
                after(due, self.period.saturating_mul(periods))
            }
        }
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

/// The stream never ends.
impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}
