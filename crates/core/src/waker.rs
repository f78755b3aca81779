//! What wakes a task: onto the run queue from the loop's own thread, through the inbox from others.

use crate::handle;
use crate::remote::Shared;
use crate::slots::Key;
use crate::task::Task;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

/// The wake-ups that a task can have outstanding: one in the run queue, one in the inbox.
///
/// A wake on the loop's own thread costs no locked instruction: the run queue holds keys, and its flag
/// is that thread's alone.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    /// The task's key: it changes only when a waker that nobody else has is used again.
    task: AtomicU64,
    /// The task is in the run queue. Atomic for `Sync` only: no other thread touches it.
    queued: AtomicBool,
    /// The task woke itself while it ran. As above.
    again: AtomicBool,
    /// The task was cancelled while it ran: it is not to run again. As above.
    cancelled: AtomicBool,
    /// The task is in the inbox, or on its way from there.
    sent: AtomicBool,
    shared: Arc<Shared>,
}

thread_local! {
    /// The waker of the task that runs on this thread, by its address. A task that wakes itself is the
    /// most frequent wake of all, and needs no look at the loop: it is queued when its run ends.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// Says which task runs on this thread, until it is dropped.
pub(crate) struct RunningTask(usize);

impl Drop for RunningTask {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

impl TaskWaker {
    /// Says that this task runs.
    #[inline]
    pub(crate) fn running(&self) -> RunningTask {
        RunningTask(RUNNING.replace(std::ptr::from_ref(self).addr()))
    }

    pub(crate) fn new(task: Key<Task>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(TaskWaker {
            task: AtomicU64::new(task.to_u64()),
            queued: AtomicBool::new(false),
            again: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            shared,
        })
    }

    pub(crate) fn task(&self) -> Key<Task> {
        Key::from_u64(self.task.load(Ordering::Relaxed))
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

    /// To be called after the task has run: true if it woke itself meanwhile, and so is to be queued.
    #[inline]
    pub(crate) fn end_run(&self) -> bool {
        let again = self.again.load(Ordering::Relaxed);
        self.again.store(false, Ordering::Relaxed);
        again
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
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

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        if RUNNING.get() == std::ptr::from_ref::<TaskWaker>(self).addr() {
            self.again.store(true, Ordering::Relaxed);
            return;
        }
        // Release: pairs with `arrive`.
        if !handle::push_ready(self) && !self.sent.swap(true, Ordering::AcqRel) {
            self.shared.send_wake(Arc::clone(self));
        }
    }
}

/// A waker of a task that has ended and its two references: if nobody else has one, the next task gets
/// it, and neither allocates nor counts.
pub(crate) struct Spare {
    pub(crate) queue: Arc<TaskWaker>,
    pub(crate) waker: Waker,
}

impl Spare {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let queue = TaskWaker::new(Task::NONE, shared);
        let waker = Waker::from(Arc::clone(&queue));
        Spare { queue, waker }
    }

    /// The two, if they are the only ones, and no wake is under way.
    pub(crate) fn of_ended(queue: Arc<TaskWaker>, waker: Waker) -> Option<Self> {
        let is_ours = Arc::strong_count(&queue) == 2;
        (is_ours && !queue.is_queued()).then(|| {
            queue.again.store(false, Ordering::Relaxed);
            queue.cancelled.store(false, Ordering::Relaxed);
            Spare { queue, waker }
        })
    }

    /// Makes them those of a task.
    pub(crate) fn rename(&self, task: Key<Task>) {
        self.queue.task.store(task.to_u64(), Ordering::Relaxed);
    }
}
