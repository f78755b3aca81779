//! One deadline over everything that is called inside of a future.

use crate::context;
use crate::task_local;
use crate::task_local::LocalScope;
use oneloop_core::{Handle, Timeout};
use std::future::Future;
use std::time::Instant;

task_local! {
    static NEAREST: Instant;
}

/// Limits a future and everything that it calls to a point in time, and returns
/// [`Elapsed`](crate::Elapsed) after that. Cancel safe if the future is.
///
/// As [`timeout_at`](crate::timeout_at), it drops the future at that time. Beyond that, the code
/// inside knows of it:
///
/// - [`timeout`](crate::timeout) and [`timeout_at`](crate::timeout_at) end at the deadline where
///   that is nearer, so code that retries, or reports what it waited for, sees an `Elapsed` of its
///   own. It runs until its next wait that is not ready at once, and is dropped there.
/// - A deadline inside of a deadline shortens it and never extends it.
/// - [`current_deadline`] returns the nearest one: to pass it on to a server, or to begin nothing
///   that cannot end in time.
/// - Futures of [`scope`](crate::scope()), [`join!`](crate::join!) and the like are inside. A task is
///   not, because it may outlive the future: [`inherit_locals`](crate::inherit_locals) shows it the
///   deadline, and a [`JoinSet`](crate::JoinSet) ends it.
///
/// ```
/// use oneloop::aio::{Elapsed, deadline, now, sleep, timeout};
/// use oneloop::{EventLoop, Options};
/// use std::time::Duration;
///
/// const SECOND: Duration = Duration::from_secs(1);
///
/// /// Asks a server that does not answer, three times.
/// async fn ask() -> Result<(), Elapsed> {
///     for _ in 0..2 {
///         let _ = timeout(10 * SECOND, sleep(3600 * SECOND)).await;
///     }
///     timeout(10 * SECOND, sleep(3600 * SECOND)).await
/// }
///
/// let mut event_loop = EventLoop::with(Options::virtual_time())?;
/// event_loop.block_on(async {
///     let start = now();
///     assert_eq!(deadline(start + 15 * SECOND, ask()).await, Err(Elapsed));
///     assert_eq!(now(), start + 15 * SECOND); // and not 30 seconds
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside a loop.
#[doc(alias("timeout_at", "fail_after", "move_on_after", "WithDeadline"))]
#[track_caller]
pub fn deadline<F: Future>(at: Instant, future: F) -> LocalScope<Timeout<F>> {
    let at = nearest(at);
    NEAREST.scope(at, Handle::current().timeout_at(at, future))
}

/// Returns the nearest [`deadline`] around this code, if there is one.
pub fn current_deadline() -> Option<Instant> {
    // The least and not the innermost: a future may be made outside of the deadline in which it runs.
    context::least(NEAREST.key())
}

/// `at`, or the current deadline where that is nearer.
pub(crate) fn nearest(at: Instant) -> Instant {
    current_deadline().map_or(at, |deadline| deadline.min(at))
}
