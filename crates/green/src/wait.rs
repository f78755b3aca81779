//! Waiting for a future: what `.await` is to async code, `.wait()` is to a green thread.

use crate::state::{Closed, State};
use crate::switch::{self, Waiting};
use oneloop_core::{Elapsed, Handle};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

const NO_THREAD: &str = "this waits, so it needs a green thread: green::run or green::spawn";

/// The green thread that runs this code.
#[track_caller]
pub(crate) fn current() -> Rc<State> {
    switch::current().expect(NO_THREAD)
}

/// Waits for any future on a green thread; the others run meanwhile.
///
/// Every future will do: those of [`oneloop_core`], of the synchronisation primitives, and those of
/// async libraries. The future is dropped when the wait ends early, so a wait is as cancel safe as
/// its future is.
///
/// ```
/// use oneloop_green::{run, Wait};
/// let sum = run(|| async { 1 + 2 }.wait())?;
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Wait: Future + Sized {
    /// Waits until the future is ready, and gives its output.
    ///
    /// # Panics
    /// Outside of a green thread. It unwinds when the thread is killed, a [`timeout`](crate::timeout)
    /// around it is over, or something is thrown into the thread. A thread that unwinds already is not
    /// interrupted; if the loop is dropped while a cleanup waits here, the thread never goes on, and
    /// its stack is leaked.
    #[inline(always)]
    #[track_caller]
    fn wait(self) -> Self::Output {
        wait_at(self, Location::caller())
    }

    /// Waits until the future is ready, but not longer than that.
    ///
    /// # Errors
    /// [`Elapsed`] if it was not ready in time. If both happen at once, the future wins.
    ///
    /// # Panics
    /// As [`Wait::wait`].
    #[track_caller]
    fn wait_timeout(self, duration: Duration) -> Result<Self::Output, Elapsed> {
        let handle = Handle::current();
        wait_at(handle.timeout(duration, self), Location::caller())
    }

    /// Waits until the future is ready, but not beyond that time.
    ///
    /// # Errors
    /// As [`Wait::wait_timeout`].
    ///
    /// # Panics
    /// As [`Wait::wait`].
    #[track_caller]
    fn wait_until(self, deadline: Instant) -> Result<Self::Output, Elapsed> {
        let handle = Handle::current();
        wait_at(handle.timeout_at(deadline, self), Location::caller())
    }
}

impl<F: Future> Wait for F {}

#[inline(always)]
pub(crate) fn wait_at<F: Future>(future: F, at: &'static Location<'static>) -> F::Output {
    let mut future = pin!(future);
    let thread = Waiting::current().expect(NO_THREAD);
    match thread.wait(future.as_mut(), at) {
        Ok(output) => output,
        Err(Closed) => never(&thread, future, at),
    }
}

/// There is nothing to return, and no way to unwind: this stack rests for good.
#[cold]
fn never<F: Future>(
    thread: &State,
    mut future: Pin<&mut F>,
    at: &'static Location<'static>,
) -> F::Output {
    loop {
        thread.switch.suspend();
        if let Ok(output) = thread.wait(future.as_mut(), at) {
            return output;
        }
    }
}

/// Waits for something that can say that the loop is gone: even a cleanup that runs while the loop is
/// dropped comes to its end.
#[inline(always)]
pub(crate) fn wait_or_closed<F: Future>(
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, Closed> {
    let thread = Waiting::current().expect(NO_THREAD);
    thread.wait(pin!(future), at)
}

/// As [`wait_or_closed`], for I/O.
pub(crate) fn wait_io<T>(
    future: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    match wait_or_closed(future, at) {
        Ok(result) => result,
        Err(Closed) => Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "the event loop is being dropped",
        )),
    }
}
