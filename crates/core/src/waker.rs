//! What wakes a task: onto the run queue from the loop's own thread, through the inbox from others.

use crate::handle;
use crate::remote::Shared;
use crate::slots::Key;
use crate::task::Task;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// The one wake-up that a task can have outstanding.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    pub(crate) task: Key<Task>,
    /// True from the wake until the task runs: a task is in the run queue or the inbox at most once.
    queued: AtomicBool,
    shared: Arc<Shared>,
}

impl TaskWaker {
    /// A waker for a task that is about to be queued by its maker.
    pub(crate) fn new_queued(task: Key<Task>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(TaskWaker {
            task,
            queued: AtomicBool::new(true),
            shared,
        })
    }

    /// To be called before the task runs: a wake from here on runs it once more.
    pub(crate) fn begin_run(&self) {
        // Acquire: what the waker's thread wrote before its wake is seen by this run.
        self.queued.swap(false, Ordering::Acquire);
    }

    #[inline]
    fn queue(self: Arc<Self>) {
        if let Err(waker) = handle::push_ready(self) {
            let shared = Arc::clone(&waker.shared);
            shared.send_wake(waker);
        }
    }

    /// True for a waker of that loop.
    pub(crate) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        // Release: pairs with `begin_run`.
        if !self.queued.swap(true, Ordering::Release) {
            self.queue();
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Release) {
            Arc::clone(self).queue();
        }
    }
}
