//! Waiting for a future: what `.await` is to async code, `.wait()` is to a green thread.

use crate::current::{self, Running, is_on_its_loop};
use crate::record::ThreadRecord;
use crate::record::interrupt::LoopClosed;
use oneloop_core::{Elapsed, Handle};
use std::any::type_name;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The green thread that runs this code.
#[track_caller]
pub(crate) fn current() -> Rc<ThreadRecord> {
    let Some(thread) = current::current() else {
        no_thread()
    };
    thread
}

#[cold]
#[track_caller]
fn no_thread() -> ! {
    match Handle::try_current() {
        None => panic!(
            "only a green thread can wait: call this inside of oneloop::green::run(|| …) or \
             oneloop::green::spawn(|| …)"
        ),
        // `run` refuses to run inside of a loop.
        Some(_) => panic!(
            "only a green thread can wait: in an async task, write `.await` in place of `.wait()`, \
             and oneloop::aio's functions in place of oneloop::green's, such as `sleep`; in a \
             callback, use oneloop::callback::spawn_micro(async move {{ … }}); or call this inside \
             of oneloop::green::spawn(|| …)"
        ),
    }
}

/// Waits for any future on a green thread; other tasks run meanwhile.
///
/// Every future works: those of [`oneloop::core`](oneloop_core), of `oneloop::sync`, and those of
/// async libraries. When a wait ends early, the future is dropped, so a wait is as cancel safe as
/// its future.
///
/// ```
/// use oneloop::green::{run, Wait};
/// let sum = run(|| async { 1 + 2 }.wait())?;
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("block_on", "await"))]
pub trait Wait: Future + Sized {
    /// Waits until the future is ready, and returns its output.
    ///
    /// # Panics
    /// Outside of a green thread. It unwinds when the thread is killed, when a
    /// [`timeout`](crate::timeout) around it fires, or when a payload is thrown into the thread. A
    /// thread that unwinds already is not interrupted; if the loop is dropped while one of its
    /// drops waits here, the thread never continues, and its stack is leaked.
    #[inline(always)]
    #[track_caller]
    fn wait(self) -> Self::Output {
        wait_at(self, Location::caller())
    }

    /// Waits until the future is ready, for `duration` at most.
    ///
    /// # Errors
    /// [`Elapsed`] if it was not ready in time. If both happen at once, the future wins.
    ///
    /// # Panics
    /// As [`Wait::wait`].
    #[track_caller]
    fn wait_timeout(self, duration: Duration) -> Result<Self::Output, Elapsed> {
        // Around the future: the timeout is a value here, and unwinds nothing.
        let handle = Handle::current();
        wait_at(handle.timeout(duration, self), Location::caller())
    }

    /// Waits until the future is ready, until `deadline` at most.
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

impl ThreadRecord {
    /// Waits for a future on this green thread's stack. An interrupt unwinds, and drops the future.
    ///
    /// # Errors
    /// The loop is being dropped, and this stack cannot unwind, as it does so already.
    #[inline(always)]
    fn wait<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        at: &'static Location<'static>,
    ) -> Result<F::Output, LoopClosed> {
        // As in gevent, where an exception is thrown at the switch: what does not suspend is not
        // interrupted.
        if let Poll::Ready(output) = self.switch.poll(future.as_mut()) {
            return Ok(output);
        }
        // Another loop on this stack would run its tasks until this wait ends, which needs our
        // loop.
        assert!(
            is_on_its_loop(),
            "a green thread cannot wait inside of another loop that it runs itself"
        );
        loop {
            self.before_suspend(type_name::<F>, at)?;
            self.switch.suspend();
            self.after_resume()?;
            if let Poll::Ready(output) = self.switch.poll(future.as_mut()) {
                return Ok(output);
            }
        }
    }
}

#[inline(always)]
#[track_caller]
pub(crate) fn wait_at<F: Future>(future: F, at: &'static Location<'static>) -> F::Output {
    let mut future = pin!(future);
    let Some(thread) = Running::current() else {
        no_thread()
    };
    match thread.wait(future.as_mut(), at) {
        Ok(output) => output,
        Err(LoopClosed) => suspend_forever(&thread, future, at),
    }
}

/// There is no output to return, and unwinding would abort: `Body` leaves this stack behind. If it
/// is resumed after all, it waits again.
#[cold]
fn suspend_forever<F: Future>(
    thread: &ThreadRecord,
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

/// Waits for a future, for a caller that can return without its output. So a cleanup completes even
/// while the loop is being dropped.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_or_closed<F: Future>(
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, LoopClosed> {
    let Some(thread) = Running::current() else {
        no_thread()
    };
    thread.wait(pin!(future), at)
}

/// As [`wait_or_closed`], for I/O.
#[track_caller]
pub(crate) fn wait_io<T>(
    future: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    match wait_or_closed(future, at) {
        Ok(result) => result,
        Err(LoopClosed) => Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "the event loop is being dropped",
        )),
    }
}
