//! The loop's record of a task: a future, which the loop polls after each wake.

use crate::mechanisms::slots::{Key, Slots};
use crate::tasks::key::Task;
use crate::tasks::waker::{RunQueue, RunningTask, SpareWaker, TaskWaker};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The future of a task, in any style, and its description in a dump.
pub(crate) trait TaskFuture: Future<Output = ()> {
    fn describe(&self) -> String;
    /// The name of the type of the future that was spawned.
    fn type_name(&self) -> &'static str;
}

pin_project! {
    /// A future, and the waker with which the loop polls it. They lie side by side, so that a run
    /// moves one pointer and counts no reference.
    struct Runnable<F> {
        waker: Waker,
        #[pin]
        future: F,
    }
}

/// A [`Runnable`] of any future.
pub(crate) trait RunTask {
    fn run(self: Pin<&mut Self>) -> Poll<()>;
    /// Sets the waker of its task, before the first run.
    fn put_waker(self: Pin<&mut Self>, waker: Waker);
    /// Takes the waker of a task that has ended.
    fn take_waker(self: Pin<&mut Self>) -> Waker;
    fn describe(&self) -> String;
    fn type_name(&self) -> &'static str;
}

impl<F: TaskFuture> RunTask for Runnable<F> {
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

    fn type_name(&self) -> &'static str {
        self.future.type_name()
    }
}

pub(crate) type TaskBody = Pin<Box<dyn RunTask>>;

/// A body without its waker. It is boxed at once, because a future may be large to move.
pub(crate) fn body_of(future: impl TaskFuture + 'static) -> TaskBody {
    Box::pin(Runnable {
        waker: Waker::noop().clone(),
        future,
    })
}

/// The loop's record of a task.
///
/// ```text
///                        spawn
///                          ▼
///             wake                    run begins
///  waiting ─────────▶ in the queue ───────────────▶ running (its body is out of the record)
///     ▲                    ▲                            │
///     │ Pending            │ Pending, but it woke itself│
///     └────────────────────┴────────────────────────────┤
///                                                       │ Ready, a panic, or canceled while it ran
///  canceled while it waits or is queued ──────────▶ gone ◀┘
/// ```
pub(crate) struct TaskRecord {
    /// `None` while the task runs (rule 8), and while a dump describes it.
    pub(crate) body: Option<TaskBody>,
    pub(crate) queue: Arc<TaskWaker>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// The task that spawned it; [`Task::NONE`] for code outside of tasks.
    pub(crate) spawned_by: Key<Task>,
    /// The time of its last run, or of its spawn.
    pub(crate) since_ns: u64,
}

impl TaskRecord {
    pub(crate) fn new(
        mut body: TaskBody,
        SpareWaker { queue, waker }: SpareWaker,
        spawned_at: &'static Location<'static>,
        spawned_by: Key<Task>,
        since_ns: u64,
    ) -> Self {
        // Only now, as the waker comes from the slot's spare and the body was boxed before the slot
        // existed.
        body.as_mut().put_waker(waker);
        TaskRecord {
            body: Some(body),
            queue,
            spawned_at,
            spawned_by,
            since_ns,
        }
    }
}

/// The tasks that have not ended, by their names.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Slots<TaskRecord>,
}

// A name is the record's key with another tag: other code can hold it without seeing the record.
fn slot_of(task: Key<Task>) -> Key<TaskRecord> {
    Key::from_u64(task.to_u64())
}

fn name_of(slot: Key<TaskRecord>) -> Key<Task> {
    Key::from_u64(slot.to_u64())
}

impl Tasks {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The names of all tasks, in the order of their slots.
    pub(crate) fn names(&self) -> Vec<Key<Task>> {
        self.slots.iter().map(|(slot, _)| name_of(slot)).collect()
    }

    /// The place where each task was spawned, in the order of their slots.
    pub(crate) fn sites(&self) -> impl Iterator<Item = (Key<Task>, &'static Location<'static>)> {
        let all = self.slots.iter();
        all.map(|(slot, task)| (name_of(slot), task.spawned_at))
    }

    /// The type of each task's future, in the order of their slots; `None` while a task runs.
    pub(crate) fn type_names(&self) -> impl Iterator<Item = Option<&'static str>> {
        let all = self.slots.iter();
        all.map(|(_, task)| task.body.as_ref().map(|body| body.type_name()))
    }

    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key<Task>) -> TaskRecord) -> Key<Task> {
        name_of(self.slots.insert_with(|slot| make(name_of(slot))))
    }

    /// Queues a task, unless it has ended or is queued already.
    #[inline]
    pub(crate) fn queue(&self, task: Key<Task>, ready: &RunQueue) {
        if let Some(task) = self.get(task) {
            ready.push(&task.queue);
        }
    }

    #[inline]
    pub(crate) fn get(&self, task: Key<Task>) -> Option<&TaskRecord> {
        self.slots.get(slot_of(task))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, task: Key<Task>) -> Option<&mut TaskRecord> {
        self.slots.get_mut(slot_of(task))
    }

    pub(crate) fn remove(&mut self, task: Key<Task>) -> Option<TaskRecord> {
        self.slots.remove(slot_of(task))
    }

    pub(crate) fn spawned_at(&self, task: Key<Task>) -> Option<&'static Location<'static>> {
        self.get(task).map(|task| task.spawned_at)
    }

    /// Takes a task's body for a run. `None` if it was woken after its end.
    #[inline]
    pub(crate) fn take_body(&mut self, task: Key<Task>) -> Option<(TaskBody, RunningTask)> {
        let task = self.get_mut(task)?;
        // Before the run: a wake during the run queues the task again.
        task.queue.begin_run();
        let body = task.body.take()?;
        Some((body, task.queue.running()))
    }
}

pin_project! {
    /// The body of a task without a handle.
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

    fn type_name(&self) -> &'static str {
        std::any::type_name::<F>()
    }
}

pin_project! {
    /// The body of a task that describes itself.
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

    fn type_name(&self) -> &'static str {
        std::any::type_name::<F>()
    }
}

/// The name of a future's type, by its function: `async fn serve` of a crate `server` is
/// `server::serve`. The compiler's names for closures mean nothing to a user.
pub(crate) fn type_name_of<F>() -> String {
    std::any::type_name::<F>().replace("::{{closure}}", "")
}
