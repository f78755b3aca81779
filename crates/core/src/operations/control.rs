//! Waking, canceling and finding tasks by their keys.

use crate::mechanisms::entry::Entry;
use crate::mechanisms::slots::Key;
use crate::operations::unhandled::drop_body;
use crate::state::Handle;
use crate::tasks::key::Task;

impl Handle {
    /// Makes a task ready to run, as its waker does. Has no effect on a task that has ended.
    pub fn wake_task(&self, key: Key<Task>) {
        // Past the waker: a handle is always on its loop's thread, so the inbox is not needed.
        if let Some(task) = self.state.tasks.borrow().get(key) {
            self.state.ready.push(&task.queue);
        }
    }

    /// Makes a task run before all that are ready. Has no effect on a task that has ended.
    pub fn wake_task_first(&self, key: Key<Task>) {
        if let Some(task) = self.state.tasks.borrow().get(key) {
            self.state.ready.push_first(&task.queue);
        }
    }

    /// True while a task is in the run queue.
    pub fn is_task_ready(&self, key: Key<Task>) -> bool {
        let tasks = self.state.tasks.borrow();
        tasks.get(key).is_some_and(|task| task.queue.is_queued())
    }

    /// Ends a task, as [`JoinHandle::cancel`](crate::JoinHandle::cancel) does.
    pub fn cancel_task(&self, key: Key<Task>) {
        // The drop of the task's body is a call into user code, as a run is.
        let _entry = Entry::new();
        self.end_task(key);
    }

    /// [`Handle::cancel_task`], as part of a call into the loop.
    pub(crate) fn end_task(&self, key: Key<Task>) {
        let mut tasks = self.state.tasks.borrow_mut();
        let running = tasks.get(key).filter(|task| task.body.is_none());
        if let Some(task) = running {
            task.queue.cancel(); // its body is on the stack: it ends with its run
            return;
        }
        let task = tasks.remove(key);
        drop(tasks); // the drop of a body is user code
        if let Some(task) = task
            && let Some(body) = task.body
        {
            drop_body(body, task.spawned_at);
        }
    }

    /// The number of tasks in the run queue.
    pub fn ready_count(&self) -> usize {
        self.state.ready.len()
    }

    /// The number of tasks that have not ended.
    #[doc(alias = "num_alive_tasks")]
    pub fn task_count(&self) -> usize {
        self.state.tasks.borrow().len()
    }

    /// The task that runs this code; `None` in the future of `block_on` and in a hook.
    pub fn current_task(&self) -> Option<Key<Task>> {
        Some(self.state.running.get().task).filter(|key| *key != Task::NONE)
    }
}
