//! Time: sleeping, yielding, timeouts around any code, and calls that block.

use crate::current::is_current;
use crate::record::ThreadRecord;
use crate::token::TimedOut;
use crate::unwind::resume_unwind;
use crate::wait::{current, wait_at, wait_or_closed};
use oneloop_core::{Class, Elapsed, Handle, JoinError, Phase, Sleep};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location};
use std::rc::Rc;
use std::time::{Duration, Instant};

thread_local! {
    /// The number of the next timeout. A token carries the number of its timeout, so that an inner
    /// timeout passes on the token of an outer one.
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// Waits for `duration` at least. Zero yields, as `gevent.sleep(0)`: see [`yield_now`].
///
/// # Panics
/// Outside of a green thread; as [`Wait::wait`](crate::Wait::wait).
#[track_caller]
pub fn sleep(duration: Duration) {
    // A timer of zero would fire in the next phase of the timers, behind other yielding threads.
    if duration.is_zero() {
        return yield_now();
    }
    let sleep = current().handle.sleep(duration);
    let _ = wait_or_closed(sleep, Location::caller()); // returns early if the loop is dropped
}

/// Waits until `deadline` at least.
///
/// # Panics
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    let sleep = current().handle.sleep_until(deadline);
    let _ = wait_or_closed(sleep, Location::caller());
}

/// Yields: every other green thread and task that is ready runs first. Timers and I/O get their
/// turn even if many threads do nothing but yield. (In gevent they wait for the switch interval,
/// which is 5 ms.)
///
/// # Panics
/// As [`sleep`].
#[inline(always)]
#[track_caller]
#[doc(alias("gyield", "sched_yield"))]
pub fn yield_now() {
    let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
}

/// Waits until nothing else is ready to run: `gevent.idle`.
///
/// # Panics
/// As [`sleep`].
#[track_caller]
pub fn idle() {
    let handle = current().handle.clone();
    let at = Location::caller();
    // The check phase follows the poll and the tasks that it woke; if one is still ready, wait
    // again.
    while wait_or_closed(handle.phase(Phase::Check), at).is_ok() && handle.ready_count() > 0 {}
}

/// Calls a function, and interrupts it after `duration`: its current wait, or its next one,
/// unwinds. A function that computes and does not wait is not interrupted.
///
/// Timeouts nest: an outer one that fires unwinds through the inner ones. If two fire at once, the
/// one with the earlier deadline wins. As in gevent and eventlet, code in between may swallow it
/// with `catch_unwind`; then the function continues.
///
/// ```
/// use oneloop::green::{run, sleep, timeout, Elapsed};
/// use std::time::Duration;
/// let result = run(|| timeout(Duration::from_millis(1), || sleep(Duration::from_secs(60))))?;
/// assert_eq!(result, Err(Elapsed));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`Elapsed`] if the timeout fired.
///
/// # Panics
/// Outside of a green thread, and when the function does.
#[track_caller]
#[doc(alias = "with_timeout")]
pub fn timeout<T>(duration: Duration, function: impl FnOnce() -> T) -> Result<T, Elapsed> {
    let sleep = current().handle.sleep(duration);
    timeout_of(sleep, |_| function())
}

/// As [`timeout`], with a deadline, which several calls can share.
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<T>(deadline: Instant, function: impl FnOnce() -> T) -> Result<T, Elapsed> {
    let sleep = current().handle.sleep_until(deadline);
    timeout_of(sleep, |_| function())
}

/// As [`timeout`], for a function that can cancel the timeout and restart it.
///
/// ```
/// use oneloop::green::{run, sleep, timeout_with};
/// use std::time::Duration;
/// const MS: Duration = Duration::from_millis(1);
/// let result = run(|| {
///     timeout_with(50 * MS, |timeout| {
///         sleep(MS);
///         timeout.restart(50 * MS); // there is progress
///         sleep(MS);
///         timeout.cancel();
///         sleep(60 * MS);
///     })
/// })?;
/// assert!(result.is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// As [`timeout`].
#[track_caller]
pub fn timeout_with<T>(
    duration: Duration,
    function: impl FnOnce(&Timeout) -> T,
) -> Result<T, Elapsed> {
    let sleep = current().handle.sleep(duration);
    timeout_of(sleep, function)
}

fn timeout_of<T>(sleep: Sleep, function: impl FnOnce(&Timeout) -> T) -> Result<T, Elapsed> {
    let thread = current();
    let id = NEXT_ID.replace(NEXT_ID.get() + 1);
    thread.push_timeout(id, sleep);
    let timeout = Timeout { thread, id };
    // Tokens of other timeouts, kills and panics pass through here.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| function(&timeout)));
    // Before the payload is checked: an interrupt that is still queued must not end a later wait.
    timeout.cancel();
    result.map_err(|payload| match payload.downcast_ref::<TimedOut>() {
        Some(timed_out) if timed_out.0 == id => Elapsed,
        _ => resume_unwind(payload),
    })
}

/// A running timeout: see [`timeout_with`]. `Timeout` of gevent and eventlet.
pub struct Timeout {
    thread: Rc<ThreadRecord>,
    id: u64,
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout(pending: {})", self.is_pending())
    }
}

impl Timeout {
    /// True while it is running: it has neither fired nor been canceled.
    pub fn is_pending(&self) -> bool {
        self.thread.has_timeout(self.id)
    }

    /// Cancels the timeout, even if it has fired and not interrupted the thread yet.
    pub fn cancel(&self) {
        self.thread.pop_timeout(self.id);
    }

    /// Restarts the timeout, also one that has fired or was canceled: it fires `duration` from now.
    /// It becomes the innermost one of its thread.
    ///
    /// # Panics
    /// In another green thread than the one that started it.
    #[track_caller]
    pub fn restart(&self, duration: Duration) {
        // A timer starts with a poll by its thread's waker, which exists only while that thread
        // runs.
        assert!(
            is_current(&self.thread),
            "only its own thread can restart a timeout"
        );
        self.cancel();
        let sleep = self.thread.handle.sleep(duration);
        self.thread.push_timeout(self.id, sleep);
    }
}

/// Runs a function that blocks on an OS thread of the pool, and returns its result; other tasks run
/// meanwhile. gevent's `threadpool.apply`, eventlet's `tpool.execute`. It is [`offload_to`] for
/// [`Class::Cpu`].
///
/// # Panics
/// Outside of a green thread, and when the function does, with the same payload.
#[track_caller]
#[doc(alias("threadpool", "tpool", "spawn_blocking"))]
pub fn offload<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> T {
    offload_to(Class::Cpu, function)
}

/// Runs a function that blocks on an OS thread of that class: see [`Handle::offload_to`]. If this
/// is interrupted before the function has begun, it never runs; later, it runs to its end, and its
/// result is dropped.
///
/// # Panics
/// As [`offload`].
#[track_caller]
pub fn offload_to<T: Send + 'static>(
    class: Class,
    function: impl FnOnce() -> T + Send + 'static,
) -> T {
    // On the worker pool, and not on this stack: a blocking call here would stop the whole loop.
    let job = Handle::current().offload_to(class, function);
    match wait_at(job, Location::caller()) {
        Ok(value) => value,
        Err(JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => unreachable!("only a dropped wait cancels its job: {error}"),
    }
}
