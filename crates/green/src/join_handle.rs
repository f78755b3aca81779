//! A handle to a green thread's result.

use crate::finished::Until;
use crate::links::LinkId;
use crate::outcome::{Outcome, ResultSlot};
use crate::record::interrupt::LoopClosed;
use crate::record::{Thread, ThreadRecord};
use crate::wait::{wait_at, wait_or_closed};
use oneloop_core::{Elapsed, JoinError};
use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Waits for a green thread's result, or kills it. When the handle is dropped, the thread
/// continues.
///
/// It is also a future: an async task can await it, and `wait_timeout` works on `&mut handle`. By
/// dereferencing it has the methods of [`Thread`].
#[doc(alias("Greenlet", "GreenThread"))]
pub struct JoinHandle<T> {
    thread: Thread,
    record: Rc<ThreadRecord<ResultSlot<T>>>,
    link: Option<LinkId>,
}

impl<T> JoinHandle<T> {
    /// The same record twice, once without the type of its result.
    pub(crate) fn new(untyped: Rc<ThreadRecord>, record: Rc<ThreadRecord<ResultSlot<T>>>) -> Self {
        JoinHandle {
            thread: Thread::new(untyped),
            record,
            link: None,
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({})", self.thread.record())
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        &self.thread
    }
}

impl<T> Borrow<Thread> for JoinHandle<T> {
    fn borrow(&self) -> &Thread {
        &self.thread
    }
}

impl<T> Borrow<Thread> for &JoinHandle<T> {
    fn borrow(&self) -> &Thread {
        &self.thread
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Waits until the thread has ended, and returns its result.
    ///
    /// # Errors
    /// Why it has no result: it panicked, or was killed or canceled.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    #[doc(alias = "wait")]
    pub fn join(self) -> Result<T, JoinError> {
        match wait_or_closed(self, Location::caller()) {
            Ok(result) => result,
            // A drop joins while the loop is dropped: the other thread is about to be canceled,
            // too.
            Err(LoopClosed) => Err(JoinError::Canceled),
        }
    }

    /// Waits until the thread has ended, for `duration` at most. After [`Elapsed`] it can be joined
    /// again.
    ///
    /// # Errors
    /// [`Elapsed`], if it did not end in time.
    ///
    /// # Panics
    /// As [`JoinHandle::join`], and if the result was taken before.
    #[track_caller]
    pub fn join_timeout(&mut self, duration: Duration) -> Result<Result<T, JoinError>, Elapsed> {
        let ended = self.thread.until(Until::Result);
        let joined = self.record.handle.timeout(duration, ended);
        wait_at(joined, Location::caller())?;
        Ok(self.take_result())
    }

    /// Waits until the thread has ended, and returns a clone of its result, which stays in the
    /// handle: any number of green threads can call this, any number of times. `Greenlet.get` of
    /// gevent.
    ///
    /// ```
    /// use oneloop::green::{run, spawn, Outcome};
    /// let results = run(|| {
    ///     let thread = spawn(|| 6 * 7);
    ///     let killed = spawn(|| 0);
    ///     killed.kill();
    ///     [thread.get(), thread.get(), killed.get()]
    /// })?;
    /// assert_eq!(results, [Ok(42), Ok(42), Err(Outcome::Killed)]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// How it ended, if it has no result. The payload of a panic stays for [`JoinHandle::join`] and
    /// [`JoinHandle::peek`].
    ///
    /// # Panics
    /// Outside of a green thread, and if the handle was polled as a future, which took the result.
    #[track_caller]
    #[doc(alias = "wait")]
    pub fn get(&self) -> Result<T, Outcome>
    where
        T: Clone,
    {
        let at = Location::caller();
        let _ = wait_or_closed(self.finished(), at);
        let clone = |result: &Result<T, JoinError>| match result {
            Ok(value) => Ok(value.clone()),
            Err(_) => Err(Outcome::of(result)),
        };
        match self.peek(clone) {
            Some(result) => result,
            None if self.is_finished() => {
                panic!("the result was taken before: the handle was polled as a future")
            }
            None => Err(Outcome::Canceled), // the loop is being dropped
        }
    }

    /// Calls `look` with the result, if there is one, which stays in the handle.
    pub fn peek<R>(&self, look: impl FnOnce(&Result<T, JoinError>) -> R) -> Option<R> {
        // The slot is filled before eventlet's links run, but the result counts only from then on.
        if self.outcome().is_some() {
            self.record.slot.peek(look)
        } else {
            None
        }
    }

    /// The thread without its result.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(crate) fn take_result(&self) -> Result<T, JoinError> {
        let result = self.record.slot.take();
        result.expect("a green thread's result can be taken once")
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// When polled again after it returned its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinHandle { thread, link, .. } = &mut *self;
        ready!(thread.record().poll_until(Until::Result, link, cx.waker()));
        Poll::Ready(self.take_result())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.thread.record().unlink(link);
        }
        // Without a handle, no caller can get a panic. If the thread still runs, its end reports
        // it.
        self.record.observed.set(false);
        self.thread.record().report_unobserved();
    }
}
