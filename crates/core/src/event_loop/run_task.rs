//! One run of a task.

use crate::mechanisms::slots::Key;
use crate::operations::unhandled::{drop_body, report_panic};
use crate::state::{LoopState, Running};
use crate::tasks::key::Task;
use crate::tasks::record::TaskBody;
use crate::tasks::waker::SpareWaker;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// The maximum number of wakers of ended tasks that are kept for tasks to come.
const SPARES_MAX: usize = 256;

impl LoopState {
    /// Polls a task's body, which is out of its slot meanwhile (rule 8): the task may spawn, end or
    /// cancel any task, including itself. A panic ends this task only (rule 13): the future's own
    /// panic is its result; any other, from the drop of an output or from a waker, is reported.
    pub(super) fn run(&self, key: Key<Task>) {
        let taken = self.tasks.borrow_mut().take_body(key);
        let Some((mut body, running)) = taken else {
            return; // woken after its end
        };
        let before = self.running.replace(Running {
            task: key,
            waker: running.waker,
        });
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().run()));
        // Before the body is put back or dropped: a wake from here on must queue the task, not be
        // noted for a run that is over.
        drop(running);
        let ended = if matches!(polled, Ok(Poll::Pending)) {
            self.put_back(key, body)
        } else {
            Some(body)
        };
        if let Some(body) = ended {
            self.end(key, body, polled.err());
        }
        self.running.set(before);
    }

    /// Returns the body to its task; or to the caller, if the task was canceled meanwhile.
    fn put_back(&self, key: Key<Task>, body: TaskBody) -> Option<TaskBody> {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key).filter(|task| !task.queue.is_canceled()) else {
            return Some(body);
        };
        task.body = Some(body);
        // The last look at the clock is good enough for a dump, and costs no further look.
        task.since_ns = self.lapped_ns.get();
        if task.queue.end_run() {
            self.ready.push(&task.queue);
        }
        None
    }

    /// Removes a task that has ended, or was canceled while it ran.
    fn end(&self, key: Key<Task>, mut body: TaskBody, panicked: Option<Box<dyn Any + Send>>) {
        let task = self.tasks.borrow_mut().remove(key);
        let task = task.expect("a task keeps its slot while it runs");
        if let Some(payload) = panicked {
            report_panic(payload, task.spawned_at);
        }
        let waker = body.as_mut().take_waker();
        // Before the waker is reused: the drop of the body may wake this task.
        drop_body(body, task.spawned_at);
        // A later task saves an allocation and two reference counts.
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES_MAX {
            let queue = task.queue;
            spares.push_back(SpareWaker { queue, waker });
        }
    }
}
