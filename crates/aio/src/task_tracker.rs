//! Counting tasks that are not joined, and waiting for their end.

use oneloop_core::{Handle, JoinHandle};
use oneloop_sync::{Event, UntilSet};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Counts the tasks that run, and waits until all have ended: tokio-util's `TaskTracker`.
///
/// A tracker keeps a number and no results, so a server may spawn a task for each client and never
/// join one. Where results matter, or tasks shall end with their owner, use a
/// [`JoinSet`](crate::JoinSet).
///
/// ```
/// use oneloop::aio::{TaskTracker, block_on, sleep};
/// use oneloop::sync::ShutdownToken;
/// use std::time::Duration;
///
/// block_on(async {
///     let (clients, stop) = (TaskTracker::new(), ShutdownToken::new());
///     for _ in 0..3 {
///         let stop = stop.clone();
///         clients.spawn(async move {
///             stop.requested().await;
///             sleep(Duration::from_millis(1)).await; // finishes its answer
///         });
///     }
///     stop.trigger();
///     clients.close();
///     clients.wait().await;
///     assert!(clients.is_empty());
/// });
/// ```
///
/// **Close it before the wait ends.** [`wait`](TaskTracker::wait) lasts until the tracker is closed
/// and no task runs, because a tracker may be without tasks for a moment between two clients. A wait
/// for a tracker that is never closed never ends. Closing prevents nothing: a task that is spawned
/// later counts as well.
///
/// Dropping a tracker cancels no task, and neither does a canceled wait:
/// `timeout(duration, clients.wait())` gives up after a while, and the tasks end with their loop. A
/// panic of a task is reported, unless its [`JoinHandle`] is awaited.
///
/// A clone is a handle to the same tracker. Waiting for it does not keep the loop alive; what its
/// tasks wait for does. A green thread calls `wait().wait()`, and is counted while it keeps a
/// [`token`](TaskTracker::token).
#[derive(Clone, Default)]
#[doc(alias = "WaitGroup")]
pub struct TaskTracker {
    state: Rc<TrackerState>,
}

#[derive(Default)]
struct TrackerState {
    tokens: Cell<usize>,
    is_closed: Cell<bool>,
    /// Set while the tracker is closed and has no token.
    is_over: Event,
}

impl TrackerState {
    /// Sets or clears the event after a change of the two others.
    fn settle(&self) {
        match self.is_closed.get() && self.tokens.get() == 0 {
            true => self.is_over.set(),
            false => self.is_over.clear(),
        }
    }
}

impl TaskTracker {
    /// Creates a tracker that is open and counts no task.
    pub fn new() -> Self {
        TaskTracker::default()
    }

    /// Starts a task on the current loop, and counts it until it has ended: see
    /// [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// Outside a loop.
    #[doc(alias = "spawn_local")]
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        Handle::current().spawn(self.track_future(future))
    }

    /// Counts a future as a task from now until it is dropped: for a future that is part of another
    /// task. Cancel safe if the future is.
    pub fn track_future<F: Future>(&self, future: F) -> TrackedFuture<F> {
        TrackedFuture {
            future,
            token: self.token(),
        }
    }

    /// Returns a token that counts as a task until it is dropped: for a green thread, or for an
    /// object that callbacks own.
    pub fn token(&self) -> TaskTrackerToken {
        let tokens = &self.state.tokens;
        tokens.set(tokens.get() + 1);
        self.state.settle();
        TaskTrackerToken {
            tracker: self.clone(),
        }
    }

    /// Allows [`TaskTracker::wait`] to complete once no task runs. Returns false if the tracker was
    /// closed before.
    pub fn close(&self) -> bool {
        let was_open = !self.state.is_closed.replace(true);
        self.state.settle();
        was_open
    }

    /// Opens the tracker again: later waits last until the next [`TaskTracker::close`]. Returns false
    /// if it was open before.
    pub fn reopen(&self) -> bool {
        let was_closed = self.state.is_closed.replace(false);
        self.state.settle();
        was_closed
    }

    /// True from [`TaskTracker::close`] to [`TaskTracker::reopen`].
    pub fn is_closed(&self) -> bool {
        self.state.is_closed.get()
    }

    /// Returns the number of tasks that have not ended, and of tokens.
    pub fn len(&self) -> usize {
        self.state.tokens.get()
    }

    /// True if no task runs and no token exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the tracker is closed and no task runs. Completes at once if that is so now.
    /// A wait that was woken completes, even if another task is spawned before it runs. Cancel safe.
    pub fn wait(&self) -> UntilSet {
        self.state.is_over.until_set()
    }
}

impl fmt::Debug for TaskTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskTracker")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .field("waiting", &self.state.is_over.waiting())
            .finish()
    }
}

/// Counts as a task of a [`TaskTracker`] until it is dropped. A clone counts as another task.
#[must_use = "a token that is dropped at once counts as no task"]
#[derive(Debug)]
pub struct TaskTrackerToken {
    tracker: TaskTracker,
}

impl TaskTrackerToken {
    /// The tracker that counts this token.
    pub fn task_tracker(&self) -> &TaskTracker {
        &self.tracker
    }
}

impl Clone for TaskTrackerToken {
    fn clone(&self) -> Self {
        self.tracker.token()
    }
}

impl Drop for TaskTrackerToken {
    fn drop(&mut self) {
        let state = &self.tracker.state;
        state.tokens.set(state.tokens.get() - 1);
        state.settle();
    }
}

pin_project! {
    /// The future of [`TaskTracker::track_future`]. Cancel safe if its future is.
    #[must_use = "futures do nothing unless awaited"]
    pub struct TrackedFuture<F> {
        #[pin]
        future: F,
        // Declared last: a task has ended when its future is dropped.
        token: TaskTrackerToken,
    }
}

impl<F: Future> Future for TrackedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F> fmt::Debug for TrackedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackedFuture").field(&self.token).finish()
    }
}
