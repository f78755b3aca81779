//! Joining a task: its result, on the way from its body to its handle.

use crate::mechanisms::guard::{advised, wake_guarded};
use crate::mechanisms::slots::Key;
use crate::operations::cancel_handle::CancelHandle;
use crate::state::Handle;
use crate::tasks::join_error::{JoinError, Unhandled};
use crate::tasks::key::Task;
use crate::tasks::record::{TaskFuture, type_name_of};
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Waits for the result of a task, or cancels it. Dropping the handle lets the task continue alone.
///
/// As a future it returns `Result<T, JoinError>`, and is cancel safe. It panics when it is polled
/// again after that.
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// let handle = event_loop.handle();
/// let answer = event_loop.block_on(async {
///     let task = handle.spawn(async { 6 * 7 });
///     task.await
/// });
/// assert_eq!(answer.unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("AbortHandle", "create_task"))]
pub struct JoinHandle<T> {
    joined: Rc<Joined<T>>,
    key: Key<Task>,
    handle: Handle,
    spawned_at: &'static Location<'static>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, at) = (self.key, self.spawned_at);
        write!(f, "JoinHandle(task {key}, spawned at {at})")
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(
        joined: Rc<Joined<T>>,
        key: Key<Task>,
        handle: Handle,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        JoinHandle {
            joined,
            key,
            handle,
            spawned_at,
        }
    }

    /// Ends the task. Its future is dropped now; or, if it is the running task, at its next wait.
    /// A task that has ended stays as it is.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        self.handle.cancel_task(self.key);
    }

    /// Returns a handle that can only cancel the task, for as many owners as needed.
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(self.handle.clone(), self.key)
    }

    /// True once the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        !self.joined.is_running()
    }

    /// Returns a handle whose drop cancels the task, also by a panic or a cancel of its owner: for a
    /// task that shall not outlive its owner. As a future it is not cancel safe: the task ends with
    /// it.
    ///
    /// ```
    /// # let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// event_loop.block_on(async {
    ///     let heartbeat = handle.spawn(std::future::pending::<()>()).cancel_on_drop();
    ///     assert!(!heartbeat.is_finished());
    ///     drop(heartbeat);
    ///     assert_eq!(handle.task_count(), 0);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "AbortOnDropHandle")]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop { task: Some(self) }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.joined.poll_result(cx)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.joined.has_handle.set(false);
        if !self.joined.is_running() {
            self.joined.report_unjoined(self.spawned_at);
        }
    }
}

/// A [`JoinHandle`] that cancels its task when it is dropped: tokio-util's `AbortOnDropHandle`. See
/// [`JoinHandle::cancel_on_drop`].
///
/// As a future it is like the handle, which it dereferences to, but not cancel safe: a wait by value
/// that is dropped cancels the task. `(&mut guard).await` leaves it running.
#[must_use = "the task is canceled when this is dropped"]
#[doc(alias = "AbortOnDropHandle")]
pub struct CancelOnDrop<T> {
    /// `None` once it was detached.
    task: Option<JoinHandle<T>>,
}

impl<T> CancelOnDrop<T> {
    /// Returns the handle of the task, whose drop does not cancel it: the task may continue alone.
    pub fn detach(mut self) -> JoinHandle<T> {
        self.task.take().expect(HAS_TASK)
    }
}

/// Why a [`CancelOnDrop`] has its task.
const HAS_TASK: &str = "only `detach` takes the task, with the guard itself";

impl<T> Deref for CancelOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        self.task.as_ref().expect(HAS_TASK)
    }
}

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.joined.poll_result(cx)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.cancel();
        }
    }
}

impl<T> fmt::Debug for CancelOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.task).finish()
    }
}

/// The part that a task and its handle share.
pub struct Joined<T> {
    progress: RefCell<Progress<T>>,
    /// The handle still exists, so it may look at the result.
    has_handle: Cell<bool>,
}

/// A task on the way to its result.
///
/// ```text
///  Running(no waker) ──join──▶ Running(waker)
///         └───────── end ──────────┴──▶ Ended(result) ──join──▶ Taken
/// ```
enum Progress<T> {
    Running(Option<Waker>),
    Ended(Result<T, JoinError>),
    Taken,
}

impl<T> Default for Joined<T> {
    fn default() -> Self {
        Joined::new()
    }
}

impl<T> Joined<T> {
    /// The part of a task that has not ended.
    pub fn new() -> Self {
        Joined {
            progress: RefCell::new(Progress::Running(None)),
            has_handle: Cell::new(true),
        }
    }

    /// False once the task has ended.
    pub fn is_running(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Running(_))
    }

    /// Waits for the result, for the handle.
    ///
    /// # Panics
    /// After it returned the result.
    pub fn poll_result(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone(); // foreign code, so before the borrow (rule 2)
        match self.progress.replace(Progress::Taken) {
            Progress::Running(before) => {
                self.progress.replace(Progress::Running(Some(waker)));
                drop(before);
                Poll::Pending
            }
            Progress::Ended(result) => Poll::Ready(result),
            Progress::Taken => panic!("a JoinHandle was polled after it returned its result"),
        }
    }

    /// Passes the result to the handle. Without one, a panic is reported.
    pub fn end(&self, result: Result<T, JoinError>, spawned_at: &'static Location<'static>) {
        let before = self.progress.replace(Progress::Ended(result));
        // After the replace, with nothing borrowed: the waker may poll the handle at once.
        if let Progress::Running(Some(waker)) = before {
            wake_guarded(waker);
        }
        // Without a handle the panic would go unnoticed.
        if !self.has_handle.get() {
            self.report_unjoined(spawned_at);
        }
    }

    /// Drops the result, and reports it if it is a panic.
    fn report_unjoined(&self, spawned_at: &'static Location<'static>) {
        let progress = self.progress.replace(Progress::Taken);
        if let Progress::Ended(Err(error @ JoinError::Panicked(_))) = progress {
            Handle::report_unhandled(Unhandled { error, spawned_at });
        }
    }
}

pin_project! {
    /// The body of a task whose result is passed on: the caller's future, with its panic caught.
    /// Cancel safe if the future is.
    pub struct JoinedBody<F: Future, E: FnOnce(Result<F::Output, JoinError>)> {
        #[pin]
        future: F,
        // What takes the result; `None` once it did.
        end: Option<E>,
    }

    impl<F: Future, E: FnOnce(Result<F::Output, JoinError>)> PinnedDrop for JoinedBody<F, E> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(end) = this.project().end.take() {
                end(Err(JoinError::Canceled));
            }
        }
    }
}

impl<F: Future, E: FnOnce(Result<F::Output, JoinError>)> JoinedBody<F, E> {
    /// Runs `future`, and passes its result, its panic, or [`JoinError::Canceled`] to `end`.
    pub fn new(future: F, end: E) -> Self {
        let end = Some(end);
        JoinedBody { future, end }
    }
}

impl<F: Future, E: FnOnce(Result<F::Output, JoinError>)> Future for JoinedBody<F, E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // Rule 13: a panic ends this task and reaches its handle; the loop lives. The future is
        // never polled again, so no code sees what the unwinding left behind.
        let result = match catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(JoinError::Panicked(advised(payload))),
        };
        let end = this.end.take();
        end.expect("a task is not polled after its end")(result);
        Poll::Ready(())
    }
}

impl<F: Future, E: FnOnce(Result<F::Output, JoinError>)> TaskFuture for JoinedBody<F, E> {
    fn describe(&self) -> String {
        type_name_of::<F>()
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<F>()
    }
}
