//! A set of tasks, joined in the order in which they end.

use oneloop_core::{CancelHandle, Handle, JoinError, Key, Slots, Unhandled, wake_guarded};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A set of tasks that are joined in the order in which they end: tokio's `JoinSet`.
///
/// Dropping the set cancels the tasks that still run. So tasks in a set never outlive their owner:
/// when the owner is canceled, returns early or panics, so do they end.
///
/// ```
/// use oneloop::aio::{JoinSet, block_on, sleep};
/// use std::time::Duration;
///
/// block_on(async {
///     let mut set = JoinSet::new();
///     for delay_ms in [20, 10, 1] {
///         set.spawn(async move {
///             sleep(Duration::from_millis(delay_ms)).await;
///             delay_ms
///         });
///     }
///     let first = set.join_next().await.unwrap();
///     assert_eq!(first.unwrap(), 1);
///     assert_eq!(set.join_all().await, [10, 20]);
/// });
/// ```
///
/// A panic of a task reaches [`join_next`](JoinSet::join_next) as a [`JoinError`]. If it is never
/// joined, it is reported, as that of any other task.
///
/// A result stays in the set until it is joined: wait for `join_next` beside other events by
/// [`select!`](crate::select), or call [`try_join_next`](JoinSet::try_join_next). A server that
/// spawns a task for each connection and needs no results is better served by a
/// [`TaskTracker`](crate::TaskTracker). A task costs one allocation, and its end constant time: no
/// wake looks at the other tasks. Waiting for the set does not keep the loop alive; what its tasks
/// wait for does.
#[doc(alias = "FuturesUnordered")]
#[doc(alias = "TaskGroup")]
pub struct JoinSet<T> {
    tasks: Rc<SetTasks<T>>,
}

/// The part that a set and its tasks share.
///
/// ```text
///  spawn ──▶ running ──end──▶ ended ──join_next──▶ the owner
///               │
///               └── cancel: an end with `JoinError::Canceled`
/// ```
struct SetTasks<T> {
    /// The tasks that have not ended. `None` while a task is being spawned.
    running: RefCell<Slots<Option<CancelHandle>>>,
    ended: RefCell<VecDeque<EndedTask<T>>>,
    /// The task that waits for the next end.
    joiner: Cell<Option<Waker>>,
    /// The set is gone, or has let go of these tasks: nothing joins them.
    is_detached: Cell<bool>,
}

struct EndedTask<T> {
    result: Result<T, JoinError>,
    spawned_at: &'static Location<'static>,
}

impl<T> EndedTask<T> {
    /// Drops the result, and reports it if it is a panic.
    fn report_unjoined(self) {
        let EndedTask { result, spawned_at } = self;
        if let Err(error @ JoinError::Panicked(_)) = result {
            Handle::report_unhandled(Unhandled { error, spawned_at });
        }
    }
}

impl<T> SetTasks<T> {
    fn end(&self, member: Key<Option<CancelHandle>>, ended: EndedTask<T>) {
        let canceler = self.running.borrow_mut().remove(member);
        drop(canceler);
        if self.is_detached.get() {
            return ended.report_unjoined();
        }
        self.ended.borrow_mut().push_back(ended);
        // With nothing borrowed: the waker may poll the set at once.
        if let Some(joiner) = self.joiner.take() {
            wake_guarded(joiner);
        }
    }

    fn cancel_all(&self) {
        let running = self.running.borrow();
        let cancelers: Vec<_> = running
            .iter()
            .filter_map(|(_, task)| task.clone())
            .collect();
        drop(running); // the drop of a task is user code
        for canceler in cancelers {
            canceler.cancel();
        }
    }

    /// Reports the panics that nothing will join, now and later.
    fn detach(&self) {
        self.is_detached.set(true);
        for ended in self.ended.take() {
            ended.report_unjoined();
        }
    }
}

impl<T> JoinSet<T> {
    /// Creates an empty set.
    pub fn new() -> Self {
        JoinSet {
            tasks: Rc::new(SetTasks {
                running: RefCell::default(),
                ended: RefCell::default(),
                joiner: Cell::default(),
                is_detached: Cell::default(),
            }),
        }
    }

    /// Returns the number of tasks that were spawned and not joined.
    pub fn len(&self) -> usize {
        self.tasks.running.borrow().len() + self.tasks.ended.borrow().len()
    }

    /// True if no task is left to join.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels all tasks that have not ended. They stay in the set until they are joined, with
    /// [`JoinError::Canceled`].
    #[doc(alias = "abort_all")]
    pub fn cancel_all(&mut self) {
        self.tasks.cancel_all();
    }

    /// Empties the set without canceling its tasks: they continue alone.
    pub fn detach_all(&mut self) {
        let detached = std::mem::take(self);
        detached.tasks.detach();
        // As the set's drop would cancel them.
        detached.tasks.running.take();
    }
}

impl<T: 'static> JoinSet<T> {
    /// Starts a task on the current loop, in this set: see [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// Outside a loop.
    #[doc(alias = "spawn_local")]
    #[track_caller]
    pub fn spawn(&mut self, future: impl Future<Output = T> + 'static) -> CancelHandle {
        self.spawn_at(future, Location::caller())
    }

    #[track_caller]
    fn spawn_at(
        &mut self,
        future: impl Future<Output = T> + 'static,
        spawned_at: &'static Location<'static>,
    ) -> CancelHandle {
        let handle = Handle::current();
        let member = self.tasks.running.borrow_mut().insert(None);
        let tasks = Rc::clone(&self.tasks);
        let then = move |result| tasks.end(member, EndedTask { result, spawned_at });
        let key = handle.spawn_then(future, then, spawned_at);
        let canceler = CancelHandle::new(handle, key);
        // The member is gone already if the loop is being dropped.
        if let Some(task) = self.tasks.running.borrow_mut().get_mut(member) {
            *task = Some(canceler.clone());
        }
        canceler
    }

    /// Waits for the next task that ends, and returns its result; `None` if the set is empty.
    ///
    /// Cancel safe: a result is removed from the set only as it is returned.
    ///
    /// # Errors
    /// [`JoinError`] of the task, if it panicked or was canceled.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Polls for the next task that ends: see [`JoinSet::join_next`].
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_ended(cx).map(|ended| Some(ended?.result))
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<EndedTask<T>>> {
        let ended = self.tasks.ended.borrow_mut().pop_front();
        if ended.is_some() {
            return Poll::Ready(ended);
        }
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let before = self.tasks.joiner.replace(Some(cx.waker().clone())); // its drop is foreign code
        drop(before);
        Poll::Pending
    }

    /// Returns the result of the task that ended first; `None` if no task has ended that was not
    /// joined. Never waits.
    ///
    /// # Errors
    /// As [`JoinSet::join_next`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let ended = self.tasks.ended.borrow_mut().pop_front();
        ended.map(|ended| ended.result)
    }

    /// Waits until all tasks have ended, and returns their results in the order of their ends. Not
    /// cancel safe: a dropped wait drops the results.
    ///
    /// A dropped wait cancels the tasks, as it owns the set. To stop them after a while, use
    /// `timeout(duration, set.join_all())`.
    ///
    /// # Panics
    /// With the payload of the first task that panicked, and if a task was canceled. The tasks that
    /// are left are canceled then. [`JoinSet::join_next`] returns these as errors.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut results = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(value) => results.push(value),
                Err(JoinError::Panicked(payload)) => resume_unwind(payload),
                Err(error) => panic!("{error}"),
            }
        }
        results
    }

    /// Cancels all tasks, waits until they have ended, and drops their results. The panics among
    /// them are reported. Cancel safe: the tasks are canceled already, and a second call waits for
    /// the rest.
    ///
    /// Every task but the running one ends at once: its future is dropped by this call.
    pub async fn shutdown(&mut self) {
        self.cancel_all();
        while let Some(ended) = poll_fn(|cx| self.poll_ended(cx)).await {
            ended.report_unjoined();
        }
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        JoinSet::new()
    }
}

/// Spawns a task for each future.
impl<T: 'static, F: Future<Output = T> + 'static> Extend<F> for JoinSet<T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        let spawned_at = Location::caller();
        for future in futures {
            self.spawn_at(future, spawned_at);
        }
    }
}

/// Spawns a task for each future.
impl<T: 'static, F: Future<Output = T> + 'static> FromIterator<F> for JoinSet<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("running", &self.tasks.running.borrow().len())
            .field("ended", &self.tasks.ended.borrow().len())
            .finish()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        // First, for the running task: it may drop its own set, and ends later.
        self.tasks.detach();
        self.tasks.cancel_all();
    }
}
