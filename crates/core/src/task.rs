//! The one kind of task: a future, polled when its waker says so.

use crate::event_loop::drop_body;
use crate::guard::{panic_message, wake_guarded};
use crate::handle::Handle;
use crate::slots::Key;
use crate::waker::{Spare, TaskWaker};
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The future that a task is, whoever made it, and what it says of itself in a dump.
pub(crate) trait TaskFuture: Future<Output = ()> {
    fn describe(&self) -> String;
}

pin_project! {
    /// A future and the waker that it is polled with: side by side, a run moves one pointer and counts
    /// no reference.
    pub(crate) struct Runnable<F> {
        waker: Waker,
        #[pin]
        future: F,
    }
}

/// A [`Runnable`] of any future.
pub(crate) trait Run {
    fn run(self: Pin<&mut Self>) -> Poll<()>;
    /// Gives it the waker of its task, before it runs.
    fn put_waker(self: Pin<&mut Self>, waker: Waker);
    /// Takes the waker of a task that has ended.
    fn take_waker(self: Pin<&mut Self>) -> Waker;
    fn describe(&self) -> String;
}

impl<F: TaskFuture> Run for Runnable<F> {
    fn run(self: Pin<&mut Self>) -> Poll<()> {
        let this = self.project();
        this.future.poll(&mut Context::from_waker(this.waker))
    }

    fn put_waker(self: Pin<&mut Self>, waker: Waker) {
        *self.project().waker = waker;
    }

    fn take_waker(self: Pin<&mut Self>) -> Waker {
        std::mem::replace(self.project().waker, Waker::noop().clone())
    }

    fn describe(&self) -> String {
        self.future.describe()
    }
}

pub(crate) type TaskBody = Pin<Box<dyn Run>>;

/// A body without its waker: boxed at once, as a future may be large to move.
pub(crate) fn body_of(future: impl TaskFuture + 'static) -> TaskBody {
    Box::pin(Runnable {
        waker: Waker::noop().clone(),
        future,
    })
}

/// What the loop keeps of a task. Its body is out of here while it runs (rule 8).
pub struct Task {
    pub(crate) body: Option<TaskBody>,
    pub(crate) queue: Arc<TaskWaker>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// Who spawned it; [`Task::NONE`] for code outside of tasks.
    pub(crate) spawned_by: Key<Task>,
    /// When it last ran, or was spawned.
    pub(crate) since_ns: u64,
}

impl Task {
    /// Names the future of `block_on`, which is in no slot.
    pub(crate) const MAIN: Key<Task> = Key::from_u64(u64::MAX);
    /// Names no task: that of a handle whose task never was.
    pub const NONE: Key<Task> = Key::from_u64(u32::MAX as u64);
}

impl Task {
    pub(crate) fn new(
        mut body: TaskBody,
        Spare { queue, waker }: Spare,
        spawned_at: &'static Location<'static>,
        spawned_by: Key<Task>,
        since_ns: u64,
    ) -> Self {
        body.as_mut().put_waker(waker);
        Task {
            body: Some(body),
            queue,
            spawned_at,
            spawned_by,
            since_ns,
        }
    }

    /// Drops the body of a task that is out of its slot for good, unless it runs.
    pub(crate) fn drop_body(self) {
        if let Some(body) = self.body {
            drop_body(body, self.spawned_at);
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task spawned at {}", self.spawned_at)
    }
}

/// Why a task has no result.
pub enum JoinError {
    /// It was cancelled, or its loop was dropped.
    Cancelled,
    /// It is a green thread, and somebody killed it.
    Killed,
    /// It panicked; this is what it panicked with.
    Panicked(Box<dyn Any + Send>),
}

impl JoinError {
    /// What a panic said, where it said it in words.
    pub fn panic_message(&self) -> Option<&str> {
        match self {
            JoinError::Panicked(payload) => panic_message(&**payload),
            _ => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled => f.write_str("the task was cancelled"),
            JoinError::Killed => f.write_str("the task was killed"),
            JoinError::Panicked(_) => {
                write!(
                    f,
                    "the task panicked: {}",
                    self.panic_message().unwrap_or("(no message)")
                )
            }
        }
    }
}
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}
impl std::error::Error for JoinError {}
impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error.to_string())
    }
}

/// What a task and its handle share.
///
/// ```text
///  Running(no waker) ──join──▶ Running(waker)
///         └───────── end ──────────┴──▶ Ended(result) ──join──▶ Taken
/// ```
enum Outcome<T> {
    Running(Option<Waker>),
    Ended(Result<T, JoinError>),
    Taken,
}

pub(crate) struct Shared<T> {
    outcome: RefCell<Outcome<T>>,
    /// The handle still exists: somebody may look at the outcome.
    observed: Cell<bool>,
}

impl<T> Shared<T> {
    fn is_running(&self) -> bool {
        matches!(*self.outcome.borrow(), Outcome::Running(_))
    }

    fn end(&self, result: Result<T, JoinError>) {
        let before = self.outcome.replace(Outcome::Ended(result));
        if let Outcome::Running(Some(waker)) = before {
            wake_guarded(waker);
        }
    }
}

/// What a style unwinds with when a program exits in the middle of a task: see
/// [`Handle::report_unhandled`], which does not take it for a panic.
#[derive(Debug)]
pub struct ExitRequest {
    /// The program's exit code.
    pub code: u8,
}

/// Tells of a panic that nobody joined.
fn report_unobserved<T>(outcome: Outcome<T>, spawned_at: &'static Location<'static>) {
    if let Outcome::Ended(Err(error @ JoinError::Panicked(_))) = outcome {
        Handle::report_unhandled(Unhandled { error, spawned_at });
    }
}

/// A panic in a task whose [`JoinHandle`] was dropped: see [`Handle::on_unhandled`].
#[derive(Debug)]
pub struct Unhandled {
    /// What happened.
    pub error: JoinError,
    /// Where the task was spawned.
    pub spawned_at: &'static Location<'static>,
}

impl Unhandled {
    /// True if the task ended because the program exits.
    pub(crate) fn is_exit(&self) -> bool {
        matches!(&self.error, JoinError::Panicked(payload) if payload.is::<ExitRequest>())
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (spawned at {}, and nobody joined it)",
            self.error, self.spawned_at
        )
    }
}

pin_project! {
    /// A task's body: the caller's future, its panic caught, its outcome told.
    pub(crate) struct Body<F: Future> {
        #[pin]
        future: F,
        shared: Rc<Shared<F::Output>>,
        spawned_at: &'static Location<'static>,
    }

    impl<F: Future> PinnedDrop for Body<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.shared.is_running() {
                this.shared.end(Err(JoinError::Cancelled));
            }
        }
    }
}

impl<F: Future> Body<F> {
    /// A body, and what its handle needs of it.
    pub(crate) fn new(
        future: F,
        spawned_at: &'static Location<'static>,
    ) -> (Self, Rc<Shared<F::Output>>) {
        let outcome = RefCell::new(Outcome::Running(None));
        let shared = Rc::new(Shared {
            outcome,
            observed: Cell::new(true),
        });
        (
            Body {
                future,
                shared: Rc::clone(&shared),
                spawned_at,
            },
            shared,
        )
    }
}

impl<F: Future> TaskFuture for Body<F> {
    fn describe(&self) -> String {
        type_name_of::<F>()
    }
}

pin_project! {
    /// The body of a task for which nobody waits.
    pub(crate) struct Detached<F> {
        #[pin]
        pub(crate) future: F,
    }
}

impl<F: Future<Output = ()>> Future for Detached<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx)
    }
}

impl<F: Future<Output = ()>> TaskFuture for Detached<F> {
    fn describe(&self) -> String {
        type_name_of::<F>()
    }
}

pin_project! {
    /// The body of a task that says itself what it is.
    pub(crate) struct Described<F> {
        #[pin]
        pub(crate) future: F,
    }
}

impl<F: Future<Output = ()>> Future for Described<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx)
    }
}

impl<F: Future<Output = ()> + fmt::Display> TaskFuture for Described<F> {
    fn describe(&self) -> String {
        self.future.to_string()
    }
}

/// `async fn serve` of a crate `server` is `server::serve`: the compiler's own names for what is inside
/// of functions say nothing.
fn type_name_of<F>() -> String {
    std::any::type_name::<F>().replace("::{{closure}}", "")
}

impl<F: Future> Future for Body<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // Rule 13: a panic ends this task and reaches its handle; the loop lives. The future is
        // never polled again, so nothing sees what the unwinding left behind.
        let result = match catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(JoinError::Panicked(payload)),
        };
        this.shared.end(result);
        if !this.shared.observed.get() {
            report_unobserved(this.shared.outcome.replace(Outcome::Taken), this.spawned_at);
        }
        Poll::Ready(())
    }
}

/// Waits for a task's result, or cancels it. Dropping the handle lets the task go on by itself.
///
/// As a future it gives `Result<T, JoinError>`, and is cancel safe. It panics when polled again
/// after that.
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// let handle = event_loop.handle();
/// let answer = event_loop.block_on(async {
///     let task = handle.spawn(async { 6 * 7 });
///     task.await
/// });
/// assert_eq!(answer.unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct JoinHandle<T> {
    shared: Rc<Shared<T>>,
    key: Key<Task>,
    handle: Handle,
    spawned_at: &'static Location<'static>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JoinHandle(task {}, spawned at {})",
            self.key, self.spawned_at
        )
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(
        shared: Rc<Shared<T>>,
        key: Key<Task>,
        handle: Handle,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        JoinHandle {
            shared,
            key,
            handle,
            spawned_at,
        }
    }

    /// Ends the task: its future is dropped now, or, when it is the one that runs, as soon as it
    /// waits. Without effect on a task that has ended.
    pub fn cancel(&self) {
        self.handle.cancel_task(self.key);
    }

    /// True once the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        !self.shared.is_running()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone(); // foreign code, so before the outcome is touched
        let outcome = self.shared.outcome.replace(Outcome::Taken);
        match outcome {
            Outcome::Running(before) => {
                self.shared.outcome.replace(Outcome::Running(Some(waker)));
                drop(before);
                Poll::Pending
            }
            Outcome::Ended(result) => Poll::Ready(result),
            Outcome::Taken => panic!("a JoinHandle was polled after it gave its result"),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.shared.observed.set(false);
        if !self.shared.is_running() {
            report_unobserved(self.shared.outcome.replace(Outcome::Taken), self.spawned_at);
        }
    }
}

/// Lets every other task that is ready run first; the future behind `yield_now` of the styles.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
