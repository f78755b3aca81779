//! A list of all tasks: the description of each one, its spawner, and how long it has waited.

use crate::mechanisms::guard::guarded;
use crate::mechanisms::slots::Key;
use crate::state::{Handle, LoopState};
use crate::tasks::info::{TaskInfo, TaskState};
use crate::tasks::key::Task;
use std::time::Duration;

impl Handle {
    /// All tasks that have not ended, in the order of their slots.
    ///
    /// ```
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// handle.spawn(std::future::pending::<()>());
    /// event_loop.run_nowait()?;
    /// let tasks = handle.dump_tasks();
    /// assert!(tasks[0].to_string().contains("waits"), "{}", tasks[0]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("all_tasks", "print_run_info", "uv_print_all_handles"))]
    pub fn dump_tasks(&self) -> Vec<TaskInfo> {
        let keys = self.state.tasks.borrow().names();
        let keys = keys.into_iter();
        keys.filter_map(|key| self.state.task_info(key)).collect()
    }
}

impl LoopState {
    /// Describes a task with its body out of its slot, as its `Display` is foreign code (rule 1).
    pub(super) fn task_info(&self, key: Key<Task>) -> Option<TaskInfo> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(key)?;
        let (spawned_at, spawned_by) = (task.spawned_at, task.spawned_by);
        let since_ns = task.since_ns;
        let is_queued = task.queue.is_queued();
        // As in a run: the description may spawn, cancel, or dump the tasks again.
        let body = task.body.take();
        drop(tasks);
        // If the description panics, the task has none, and still gets its body back.
        let what = body.as_ref().and_then(|body| guarded(|| body.describe()));
        let state = match &body {
            None => TaskState::Running,
            Some(_) if is_queued => TaskState::Ready,
            Some(_) => TaskState::Waiting,
        };
        // The slot is still there even if the description has canceled its own task: a task without
        // a body counts as running, so the cancel only marks it.
        if let Some(task) = self.tasks.borrow_mut().get_mut(key) {
            task.body = body;
        }
        Some(TaskInfo {
            key,
            what: what.unwrap_or_default(),
            state,
            since: Duration::from_nanos(self.clock.now_ns().saturating_sub(since_ns)),
            spawned_at,
            spawned_by: Some(spawned_by).filter(|by| *by != Task::NONE),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::EventLoop;
    use std::fmt;
    use std::future::Future;
    use std::panic::Location;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Ends in its second run, and panics in its description.
    struct Mute(bool);

    impl Future for Mute {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in a Display");
        }
    }

    #[test]
    fn a_task_whose_description_panics_is_listed_and_keeps_running() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        handle.spawn_described(Mute(false), Location::caller());
        assert_eq!(handle.dump_tasks().len(), 1);
        event_loop.run().unwrap();
        assert_eq!(handle.task_count(), 0);
    }
}
