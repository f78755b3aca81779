//! Tasks that an observer sees: a body around the body, and a waker around the waker. A task that
//! no observer sees has neither, so its runs and wakes cost nothing more.

use crate::mechanisms::guard::guarded;
use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use crate::tasks::record::{RunTask, TaskBody};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

/// Sees the tasks of a loop: see [`Handle::observe_tasks`](crate::Handle::observe_tasks).
pub trait TaskObserver {
    /// Called as a task is spawned, before its first run. `None` if this task is not to be seen.
    fn spawned(&self, task: &SpawnedTask<'_>) -> Option<Box<dyn ObservedTask>>;
}

/// A task that was spawned, for a [`TaskObserver`].
#[non_exhaustive]
pub struct SpawnedTask<'a> {
    /// Its key.
    pub key: Key<Task>,
    pub(crate) body: &'a dyn RunTask,
    /// The place where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// The task that spawned it; `None` for code outside of tasks.
    pub spawned_by: Option<Key<Task>>,
}

impl SpawnedTask<'_> {
    /// Its description: the type of an async task, or a green thread's name. Made in this call,
    /// which costs an allocation.
    pub fn what(&self) -> String {
        self.body.describe()
    }

    /// The size of its future in bytes.
    pub fn future_bytes(&self) -> usize {
        size_of_val(self.body)
    }
}

impl fmt::Debug for SpawnedTask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnedTask")
            .field("key", &self.key)
            .field("what", &self.what())
            .field("spawned_at", &self.spawned_at)
            .field("spawned_by", &self.spawned_by)
            .finish()
    }
}

/// What an observer keeps for a task; it is dropped after the task's future. A panic in one of the
/// functions is caught.
pub trait ObservedTask {
    /// Called before each run.
    fn run_begins(&mut self);

    /// Called after each run, with the number of the task's wakers that other code holds now.
    fn run_ends(&mut self, wakers: usize);

    /// Returns what sees the task's wakes, on every thread.
    fn waker(&self) -> Box<dyn ObservedWaker>;
}

/// Sees the wakes of a task, on every thread.
pub trait ObservedWaker: Send + Sync {
    /// Called before each wake. One by value also drops its waker.
    fn wakes(&self, by_value: bool);
}

/// A body that an observer sees.
struct ObservedBody {
    body: TaskBody,
    /// Dropped after the body.
    task: Box<dyn ObservedTask>,
    /// `None` once the task has given its waker back.
    waker: Option<Arc<WakerInside>>,
}

/// The task's own waker, behind the one that its future gets.
struct WakerInside {
    waker: Waker,
    observed: Box<dyn ObservedWaker>,
}

/// References to a [`WakerInside`] that are not other code's: the body's, and its future's context.
const OWN_WAKERS: usize = 2;

impl Wake for WakerInside {
    fn wake(self: Arc<Self>) {
        guarded(|| self.observed.wakes(true));
        self.waker.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        guarded(|| self.observed.wakes(false));
        self.waker.wake_by_ref();
    }
}

/// Surrounds the body of a task that has not run yet.
pub(crate) fn observe(mut body: TaskBody, task: Box<dyn ObservedTask>) -> TaskBody {
    let Some(observed) = guarded(|| task.waker()) else {
        return body;
    };
    let waker = body.as_mut().take_waker();
    let inside = Arc::new(WakerInside { waker, observed });
    body.as_mut().put_waker(Waker::from(Arc::clone(&inside)));
    Box::pin(ObservedBody {
        body,
        task,
        waker: Some(inside),
    })
}

impl RunTask for ObservedBody {
    fn run(self: Pin<&mut Self>) -> Poll<()> {
        let this = self.get_mut();
        guarded(|| this.task.run_begins());
        let _run = ObservedRun {
            task: &mut *this.task,
            waker: this.waker.as_ref(),
        };
        this.body.as_mut().run()
    }

    fn put_waker(self: Pin<&mut Self>, waker: Waker) {
        self.get_mut().body.as_mut().put_waker(waker);
    }

    fn take_waker(self: Pin<&mut Self>) -> Waker {
        let this = self.get_mut();
        let outside = this.body.as_mut().take_waker();
        let Some(inside) = this.waker.take() else {
            return outside;
        };
        drop(outside);
        match Arc::try_unwrap(inside) {
            Ok(inside) => inside.waker,
            // Other code has kept a clone, so the loop will find that it cannot reuse this one.
            Err(inside) => inside.waker.clone(),
        }
    }

    fn describe(&self) -> String {
        self.body.describe()
    }

    fn type_name(&self) -> &'static str {
        self.body.type_name()
    }
}

impl fmt::Debug for WakerInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.waker.fmt(f)
    }
}

/// Ends a run that unwinds as well.
struct ObservedRun<'a> {
    task: &'a mut dyn ObservedTask,
    waker: Option<&'a Arc<WakerInside>>,
}

impl Drop for ObservedRun<'_> {
    fn drop(&mut self) {
        let references = self.waker.map_or(0, Arc::strong_count);
        let wakers = references.saturating_sub(OWN_WAKERS);
        guarded(|| self.task.run_ends(wakers));
    }
}
