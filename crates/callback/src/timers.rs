//! `setTimeout` and `setInterval`, with Node's passes and Node's milliseconds.
//!
//! One pass runs all timers that were due when it began, list by list, with ticks in between. A
//! timer that becomes due meanwhile waits for the next pass, after a turn of the loop. Time is
//! whole milliseconds, rounded down, so a timer may fire up to a millisecond early, as Node's does.

pub mod promises;

pub use crate::runtime::Timeout;

use crate::continuation::once;
use crate::milliseconds::Milliseconds;
use crate::runtime::{CutShort, Repeats, Runtime, Timers, current, try_current};
use crate::tables::references;
use crate::thrown::{IntoResult, callback_of};
use oneloop_core::Sleep;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout({})", self.key)
    }
}

references!(Timeout, "the timer waits");

impl Timeout {
    fn set_referenced(&self, referenced: bool) {
        with_timers(|timers| timers.set_referenced(*self, referenced));
    }

    /// True while it keeps the program alive.
    pub fn has_ref(&self) -> bool {
        try_current().is_some_and(|runtime| runtime.timers.is_referenced(*self))
    }

    /// Starts the timer again: its whole duration from now. Does nothing to a timeout that has
    /// fired, unless it runs now and is one of [`set_timeout_with_self`].
    pub fn refresh(&self) -> &Self {
        with_timers(|timers| timers.refresh(*self));
        self
    }
}

impl Timeout {
    /// Cancels the timer: the same as [`clear_timeout`].
    pub fn close(&self) -> &Self {
        with_timers(|timers| timers.clear(*self));
        self
    }
}

fn with_timers(f: impl FnOnce(&Timers)) {
    if let Some(runtime) = try_current() {
        // Outside of a program all timers are gone, so there is nothing to change.
        f(&runtime.timers);
    }
}

/// Calls a function once, after `ms` milliseconds: at least 1, and 1 for a duration that does not
/// fit into 32 bits, with a warning on stderr.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "uv_timer_start")]
pub fn set_timeout<O: IntoResult>(
    f: impl FnOnce() -> O + 'static,
    ms: impl Milliseconds,
) -> Timeout {
    current().timers.start_once(once(f), ms.to_ms())
}

/// Calls a function every `ms` milliseconds, until it is cleared.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "uv_timer_start")]
pub fn set_interval<O: IntoResult>(
    mut f: impl FnMut() -> O + 'static,
    ms: impl Milliseconds,
) -> Timeout {
    let of = callback_of(&f);
    let callback = Box::new(move || of.result(f()));
    let timers = &current().timers;
    timers.start(|_| callback, ms.to_ms(), Repeats::Always)
}

/// Like [`set_timeout`], and passes the timer to its function, as JavaScript's `this` does. The
/// function may be called again: a timeout that [refreshes](Timeout::refresh) itself starts again,
/// with its whole duration, as in Node.
///
/// ```
/// use oneloop::callback::{run, set_timeout_with_self};
///
/// run(|| {
///     let mut tries = 0;
///     set_timeout_with_self(
///         move |timer| {
///             tries += 1;
///             if tries < 3 {
///                 timer.refresh();
///             }
///         },
///         1,
///     );
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_timeout_with_self<O: IntoResult>(
    f: impl FnMut(Timeout) -> O + 'static,
    ms: impl Milliseconds,
) -> Timeout {
    start_with_self(f, ms.to_ms(), Repeats::WhenRefreshed)
}

/// Like [`set_interval`], and passes the timer to its function, as JavaScript's `this` does: an
/// interval that clears itself.
///
/// ```
/// use oneloop::callback::{clear_interval, run, set_interval_with_self};
///
/// run(|| {
///     let mut left = 3;
///     set_interval_with_self(
///         move |timer| {
///             println!("{left}");
///             left -= 1;
///             if left == 0 {
///                 clear_interval(timer);
///             }
///         },
///         1,
///     );
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_interval_with_self<O: IntoResult>(
    f: impl FnMut(Timeout) -> O + 'static,
    ms: impl Milliseconds,
) -> Timeout {
    start_with_self(f, ms.to_ms(), Repeats::Always)
}

#[track_caller]
fn start_with_self<O: IntoResult>(
    mut f: impl FnMut(Timeout) -> O + 'static,
    ms: f64,
    repeats: Repeats,
) -> Timeout {
    let of = callback_of(&f);
    let callback = move |timer| Box::new(move || of.result(f(timer))) as _;
    current().timers.start(callback, ms, repeats)
}

/// Cancels a timer, if there is one: in Node, too, `clearTimeout(undefined)` does nothing.
#[doc(alias = "uv_timer_stop")]
pub fn clear_timeout(timeout: impl Into<Option<Timeout>>) {
    if let Some(timeout) = timeout.into() {
        timeout.close();
    }
}

/// The same as [`clear_timeout`]: as in Node, either function clears timeouts and intervals.
pub fn clear_interval(timeout: impl Into<Option<Timeout>>) {
    clear_timeout(timeout);
}

impl Runtime {
    /// Waits for the first timer and runs the lists, again and again.
    pub(crate) async fn drive_timers(self: Rc<Self>) {
        let timers = &self.timers;
        let mut armed: Option<(u64, Sleep)> = None;
        poll_fn(|cx| {
            loop {
                timers.bell.wait(cx);
                let next = timers.next_pass().filter(|_| !self.process.is_stopped());
                let Some((due_ms, referenced)) = next else {
                    armed = None;
                    return Poll::<()>::Pending;
                };
                // The core's timer starts again only if another list is the first one now.
                if armed
                    .as_ref()
                    .is_none_or(|(armed_ms, _)| *armed_ms != due_ms)
                {
                    let deadline = timers.started() + Duration::from_millis(due_ms);
                    armed = Some((due_ms, self.handle.sleep_until(deadline)));
                }
                let Some((_, sleep)) = &mut armed else {
                    return Poll::Pending;
                };
                sleep.set_referenced(referenced);
                if Pin::new(sleep).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                armed = None;
                self.run_timers();
            }
        })
        .await;
    }

    /// Node's `RunTimers`: after a throw, the same pass continues where it stopped.
    fn run_timers(self: &Rc<Self>) {
        let timers = &self.timers;
        let now_ms = timers.now_ms();
        self.scope(|| {
            loop {
                let passed = self.process_timers(now_ms);
                // `RunTimers` in Node's env.cc calls again as long as JavaScript throws.
                if passed.is_ok() || self.process.is_stopped() {
                    timers.end_pass();
                    return passed;
                }
            }
        });
    }

    /// Node's `processTimers`: every list that is due, with ticks between two of them.
    fn process_timers(self: &Rc<Self>, now_ms: u64) -> Result<(), CutShort> {
        let mut is_first = true;
        while let Some(duration_ms) = self.timers.due_list(now_ms) {
            if !std::mem::take(&mut is_first) {
                self.drain()?;
            }
            self.process_list(duration_ms, now_ms)?;
        }
        Ok(())
    }

    /// Node's `listOnTimeout`: every timer of a list that is due, with ticks between two of them.
    fn process_list(self: &Rc<Self>, duration_ms: u64, now_ms: u64) -> Result<(), CutShort> {
        let mut is_first = true;
        while let Some(timer) = self.timers.first_due(duration_ms, now_ms) {
            if !std::mem::take(&mut is_first) {
                self.drain()?;
            }
            // Out of its list while it runs, so that it may clear or refresh itself.
            let Some((mut callback, start_ms)) = self.timers.take(timer) else {
                continue; // a tick cleared it
            };
            let called = self.call(&mut callback);
            self.timers.finish(timer, callback, start_ms);
            called?;
        }
        Ok(())
    }
}
