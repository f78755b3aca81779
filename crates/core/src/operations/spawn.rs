//! Starting tasks.

use crate::mechanisms::slots::Key;
use crate::operations::join::{JoinHandle, Joined, JoinedBody};
use crate::state::Handle;
use crate::tasks::join_error::JoinError;
use crate::tasks::key::Task;
use crate::tasks::record::{Described, Detached, TaskBody, TaskRecord, body_of};
use crate::tasks::stats::add;
use crate::tasks::waker::SpareWaker;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

impl Handle {
    /// Starts a task. It never runs before `spawn` returns: it is queued behind the tasks that are
    /// ready.
    #[track_caller]
    #[doc(alias("spawn_local", "create_task", "ensure_future", "call_soon"))]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let spawned_at = Location::caller();
        let joined = Rc::new(Joined::new());
        let ends = Rc::clone(&joined);
        let key = self.spawn_then(
            future,
            move |result| ends.end(result, spawned_at),
            spawned_at,
        );
        JoinHandle::new(joined, key, self.clone(), spawned_at)
    }

    /// Starts a task, and passes its result to `then` as the task ends, also if it is canceled: for
    /// a style, or a set of tasks, that keeps results in its own way. Like [`Handle::spawn`]
    /// otherwise, with one allocation instead of two.
    ///
    /// `then` runs as part of the task, or of the call that cancels it, and must not panic.
    /// `spawned_at` is the place where the user asked for the task.
    pub fn spawn_then<F: Future + 'static>(
        &self,
        future: F,
        then: impl FnOnce(Result<F::Output, JoinError>) + 'static,
        spawned_at: &'static Location<'static>,
    ) -> Key<Task> {
        let body = JoinedBody::new(future, then);
        if self.state.closed.get() {
            drop(body); // which cancels the task
            return Task::NONE;
        }
        self.start(body_of(body), spawned_at)
    }

    /// Starts a task without a [`JoinHandle`], which saves an allocation. A panic in the task is
    /// reported (see [`Handle::on_unhandled`]).
    #[track_caller]
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        if !self.state.closed.get() {
            self.start(body_of(Detached { future }), Location::caller());
        }
    }

    /// Starts a task that describes itself: its `Display` is its line in [`Handle::dump_tasks`].
    /// Like [`Handle::spawn_detached`] otherwise. `spawned_at` is the place where the user asked
    /// for the task.
    pub fn spawn_described(
        &self,
        future: impl Future<Output = ()> + fmt::Display + 'static,
        spawned_at: &'static Location<'static>,
    ) -> Key<Task> {
        if self.state.closed.get() {
            return Task::NONE;
        }
        self.start(body_of(Described { future }), spawned_at)
    }

    fn start(&self, body: TaskBody, spawned_at: &'static Location<'static>) -> Key<Task> {
        let state = &self.state;
        // Read before the tasks are borrowed, and kept for a dump: neither costs a system call.
        let (spawned_by, since_ns) = (state.running.get().task, state.lapped_ns.get());
        let key = state.tasks.borrow_mut().insert_with(|key| {
            // The one that ended first: other code has had the longest time to drop its references.
            let spare = state.spares.borrow_mut().pop_front();
            let spare = spare.and_then(SpareWaker::reused);
            let spare = spare.unwrap_or_else(|| SpareWaker::new(Arc::clone(&state.inbox)));
            spare.rename(key);
            // Behind what is ready: a task that spawns in a loop cannot starve the others.
            state.ready.push(&spare.queue);
            TaskRecord::new(body, spare, spawned_at, spawned_by, since_ns)
        });
        add(&state.counters.tasks_spawned, 1);
        if state.task_observer.borrow().is_some() {
            state.observe_spawned(key);
        }
        key
    }
}
