//! Time: sleeping, letting others run, and time-outs around any code.

use crate::state::{State, TimedOut};
use crate::unwind::resume_unwind;
use crate::wait::{current, wait_or_closed};
use oneloop_core::{Class, Elapsed, Handle, Phase, Sleep};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location};
use std::rc::Rc;
use std::time::{Duration, Instant};

thread_local! {
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// Waits at least that long. Zero lets the others run, as `gevent.sleep(0)`: see [`yield_now`].
///
/// # Panics
/// Outside of a green thread; as [`Wait::wait`](crate::Wait::wait).
#[track_caller]
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return yield_now();
    }
    let sleep = current().handle.sleep(duration);
    let _ = wait_or_closed(sleep, Location::caller()); // a loop that goes ends it early
}

/// Waits until that time at least.
///
/// # Panics
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    let sleep = current().handle.sleep_until(deadline);
    let _ = wait_or_closed(sleep, Location::caller());
}

/// Lets every other green thread and task that is ready run first. Timers and I/O have their turn, too,
/// however many do nothing but yield (in gevent, they may have to wait).
///
/// # Panics
/// As [`sleep`].
#[inline(always)]
#[track_caller]
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
    // The check phase comes behind the poll and all that it woke.
    while wait_or_closed(handle.phase(Phase::Check), at).is_ok() && handle.ready_count() > 0 {}
}

/// Calls a function, and gives up on it after that long: then whatever it waits for, or waits for next,
/// unwinds. A function that computes and does not wait is not interrupted.
///
/// Time-outs nest, and each one knows its own: an outer one that is over unwinds through the inner
/// ones. Of two that are over at once, the one with the earlier deadline counts. As in gevent and
/// eventlet, code in between may swallow it with `catch_unwind`; then the function goes on.
///
/// ```
/// use oneloop_green::{run, sleep, timeout, Elapsed};
/// use std::time::Duration;
/// let result = run(|| timeout(Duration::from_millis(1), || sleep(Duration::from_secs(60))))?;
/// assert_eq!(result, Err(Elapsed));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`Elapsed`] if the time-out was over first.
///
/// # Panics
/// Outside of a green thread, and when the function does.
#[track_caller]
pub fn timeout<T>(duration: Duration, function: impl FnOnce() -> T) -> Result<T, Elapsed> {
    let sleep = current().handle.sleep(duration);
    timeout_of(sleep, |_| function())
}

/// Like [`timeout`], with a point in time: several calls can share one deadline.
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

/// Like [`timeout`], with the time-out in the function's hands: it can be given up, and begun anew.
///
/// ```
/// use oneloop_green::{run, sleep, timeout_with};
/// use std::time::Duration;
/// const MS: Duration = Duration::from_millis(1);
/// let result = run(|| {
///     timeout_with(50 * MS, |timeout| {
///         sleep(MS);
///         timeout.restart(50 * MS); // it moves on, so it may take its time
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
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| function(&timeout)));
    timeout.cancel();
    result.map_err(|payload| match payload.downcast_ref::<TimedOut>() {
        Some(timed_out) if timed_out.0 == id => Elapsed,
        _ => resume_unwind(payload),
    })
}

/// A running time-out: see [`timeout_with`]. `Timeout` of gevent and eventlet.
pub struct Timeout {
    thread: Rc<State>,
    id: u64,
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout(pending: {})", self.is_pending())
    }
}

impl Timeout {
    /// True while it is running: it is neither over nor cancelled.
    pub fn is_pending(&self) -> bool {
        self.thread.has_timeout(self.id)
    }

    /// Gives it up, even if it is over but has not come through yet.
    pub fn cancel(&self) {
        self.thread.pop_timeout(self.id);
    }

    /// Has it be over after that long from now on, whatever became of it before. It is the innermost one
    /// of its thread then.
    ///
    /// # Panics
    /// In another green thread than that which began it.
    pub fn restart(&self, duration: Duration) {
        assert!(self.thread.is_current(), "a time-out is its thread's own");
        self.cancel();
        let sleep = self.thread.handle.sleep(duration);
        self.thread.push_timeout(self.id, sleep);
    }
}

/// Runs a function that blocks on another thread, and waits for what it returns: the others run
/// meanwhile. As gevent's `threadpool.apply` and eventlet's `tpool.execute`. It is [`offload_to`], for
/// [`Class::Cpu`].
///
/// # Panics
/// Outside of a green thread, and when the function does: what it panicked with comes back here.
#[track_caller]
pub fn offload<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> T {
    offload_to(Class::Cpu, function)
}

/// Runs a function that blocks on a thread of that class: see [`Handle::offload_to`]. Interrupted before
/// it has begun, it is never done; after that, it is, and what it returns is dropped.
///
/// # Panics
/// As [`offload`].
#[track_caller]
pub fn offload_to<T: Send + 'static>(
    class: Class,
    function: impl FnOnce() -> T + Send + 'static,
) -> T {
    let job = Handle::current().offload_to(class, function);
    match crate::wait::wait_at(job, Location::caller()) {
        Ok(value) => value,
        Err(oneloop_core::JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => unreachable!("a job that is waited for is done, but {error}"),
    }
}
