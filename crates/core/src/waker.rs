//! What wakes a task: onto the run queue from the loop's own thread, through the inbox from others.

use crate::handle;
use crate::remote::Shared;
use crate::slots::Key;
use crate::task::Task;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// The wake-ups that a task can have outstanding: one in the run queue, one in the inbox.
///
/// A wake on the loop's own thread costs no locked instruction: the run queue holds keys, and its flag
/// is that thread's alone.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    pub(crate) task: Key<Task>,
    /// The task is in the run queue. Atomic for `Sync` only: no other thread touches it.
    queued: AtomicBool,
    /// The task is in the inbox, or on its way from there.
    sent: AtomicBool,
    shared: Arc<Shared>,
}

impl TaskWaker {
    pub(crate) fn new(task: Key<Task>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(TaskWaker {
            task,
            queued: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            shared,
        })
    }

    /// True if the caller, on the loop's thread, is to put the task into the run queue.
    pub(crate) fn begin_wait_for_run(&self) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        self.queued.store(true, Ordering::Relaxed);
        !queued
    }

    /// True while the task waits for its turn in the run queue.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    /// To be called before the task runs: a wake from here on runs it once more.
    pub(crate) fn begin_run(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    /// To be called when the loop has taken this out of the inbox: a wake from here on is sent again.
    pub(crate) fn arrive(&self) {
        // Acquire: what the waker's thread wrote before its wake, sent or not, is seen by the run.
        self.sent.swap(false, Ordering::AcqRel);
    }

    /// True for a waker of that loop.
    pub(crate) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with `arrive`.
        if !handle::push_ready(self) && !self.sent.swap(true, Ordering::AcqRel) {
            self.shared.send_wake(Arc::clone(self));
        }
    }
}
