//! How a task gets to run: through the run queue from the loop's own thread, through the inbox from
//! others.
//!
//! ```text
//!  wake ─┬─ the task runs now ──────▶ `again`: queued when its run ends; no look at the loop
//!        ├─ its loop is current here ▶ `queued`: run queue ──pop──▶ run
//!        └─ anywhere else ──────────▶ `sent`: inbox ──the loop takes it──▶ run queue
//! ```
//!
//! Each of the three flags is set while one wake-up of its kind is outstanding, so a task is in the
//! run queue at most once, and in the inbox at most once.

use crate::mechanisms::concurrency::{AtomicBool, AtomicU64, thread_local};
use crate::mechanisms::inbox::Inbox;
use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};

/// The inbox of a loop with tasks.
pub(crate) type LoopInbox = Inbox<Arrivals>;

/// The mail that other threads have sent since the loop last looked.
#[derive(Default)]
pub(crate) struct Arrivals {
    pub(crate) wakes: Vec<Arc<TaskWaker>>,
    pub(crate) jobs: Vec<Box<dyn FnOnce() + Send>>,
    pub(crate) stop: bool,
}

/// Wakes one task.
///
/// A wake on the loop's own thread executes no locked instruction: the run queue holds keys, and
/// its flag belongs to that thread alone.
pub(crate) struct TaskWaker {
    /// The task's key. It changes only when a waker without other references is reused.
    task: AtomicU64,
    /// The task is in the run queue. Atomic for `Sync` only: no other thread touches it.
    queued: AtomicBool,
    /// The task woke itself while it ran. Atomic for `Sync` only.
    again: AtomicBool,
    /// The task was canceled while it ran, so it must not run again. Atomic for `Sync` only.
    canceled: AtomicBool,
    /// The task is in the inbox, or on its way from there.
    sent: AtomicBool,
    inbox: Arc<LoopInbox>,
}

impl fmt::Debug for TaskWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskWaker({})", self.task())
    }
}

thread_local! {
    /// The waker of the task that runs on this thread, by its address. Self-wakes are the most
    /// frequent wakes of all; comparing with this spares them the look at the loop.
    static RUNNING: Cell<usize> = const { Cell::new(0) };

    /// The run queue of the loop that runs on this thread; of the innermost one, if loops are
    /// nested. Without a destructor, because a loop may also run in the destructor of another
    /// thread-local. Nothing leaks: a loop that ends takes its queue out.
    static QUEUE: ManuallyDrop<RefCell<Option<Rc<RunQueue>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Marks the task that runs on this thread, until it is dropped.
pub(crate) struct RunningTask {
    before: usize,
    /// The address of its waker.
    pub(crate) waker: usize,
}

impl Drop for RunningTask {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.before);
    }
}

impl TaskWaker {
    pub(crate) fn new(task: Key<Task>, inbox: Arc<LoopInbox>) -> Arc<Self> {
        Arc::new(TaskWaker {
            task: AtomicU64::new(task.to_u64()),
            queued: AtomicBool::new(false),
            again: AtomicBool::new(false),
            canceled: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            inbox,
        })
    }

    pub(crate) fn task(&self) -> Key<Task> {
        Key::from_u64(self.task.load(Ordering::Relaxed))
    }

    /// Marks this task as the running one.
    #[inline]
    pub(crate) fn running(&self) -> RunningTask {
        let waker = std::ptr::from_ref(self).addr();
        let before = RUNNING.replace(waker);
        RunningTask { before, waker }
    }

    /// Called before each run: a wake from here on queues another run.
    pub(crate) fn begin_run(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }

    /// Called after each run. True if the task woke itself meanwhile, so that it must be queued.
    #[inline]
    pub(crate) fn end_run(&self) -> bool {
        let again = self.again.load(Ordering::Relaxed);
        self.again.store(false, Ordering::Relaxed);
        again
    }

    /// True while the task is in the run queue.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    /// Marks the task as queued. False if it was queued already.
    fn begin_queued(&self) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        self.queued.store(true, Ordering::Relaxed);
        !queued
    }

    /// Makes the current run the last one.
    pub(crate) fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }

    /// Called when the loop has taken this waker out of the inbox: the next wake is sent again.
    pub(crate) fn arrive(&self) {
        // Acquire pairs with the swap in `wake_by_ref`: the run sees what the other thread wrote
        // before its wake, also if an earlier wake was on its way and this one was not sent.
        self.sent.swap(false, Ordering::AcqRel);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        // Comparing addresses counts no reference. The address cannot be another waker's, because
        // the running task keeps this one alive.
        if RUNNING.get() == std::ptr::from_ref::<TaskWaker>(self).addr() {
            self.again.store(true, Ordering::Relaxed);
            return;
        }
        // Release: pairs with `arrive`.
        if !push_to_current(self) && !self.sent.swap(true, Ordering::AcqRel) {
            // A loop that is gone has no task to wake.
            self.inbox
                .send(|arrivals| arrivals.wakes.push(Arc::clone(self)));
        }
    }
}

/// Queues a task of the loop that runs on this thread. False if it is another loop's.
#[inline]
fn push_to_current(waker: &TaskWaker) -> bool {
    QUEUE.with(|current| match &*current.borrow() {
        Some(queue) if Arc::ptr_eq(&queue.inbox, &waker.inbox) => {
            queue.push(waker);
            true
        }
        _ => false,
    })
}

/// The tasks that are ready to run, first in first out. It holds keys, not wakers: queuing a task
/// counts no reference.
pub(crate) struct RunQueue {
    tasks: RefCell<VecDeque<Key<Task>>>,
    /// The inbox of the same loop: by it a waker knows its loop.
    inbox: Arc<LoopInbox>,
}

/// A run queue at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueMark {
    len: usize,
    first: Option<Key<Task>>,
}

impl RunQueue {
    pub(crate) fn new(inbox: Arc<LoopInbox>) -> Rc<Self> {
        Rc::new(RunQueue {
            tasks: RefCell::default(),
            inbox,
        })
    }

    /// Queues a task, unless it is queued already.
    pub(crate) fn push(&self, waker: &TaskWaker) {
        if waker.begin_queued() {
            self.tasks.borrow_mut().push_back(waker.task());
        }
    }

    /// Queues a task before all others.
    pub(crate) fn push_first(&self, waker: &TaskWaker) {
        let mut tasks = self.tasks.borrow_mut();
        if !waker.begin_queued() {
            // Linear, and rare: only a switch of green threads asks for it.
            tasks.retain(|task| *task != waker.task());
        }
        tasks.push_front(waker.task());
    }

    /// The queue at this moment, for [`RunQueue::since`].
    pub(crate) fn mark(&self) -> QueueMark {
        let tasks = self.tasks.borrow();
        QueueMark {
            len: tasks.len(),
            first: tasks.front().copied(),
        }
    }

    /// The tasks that were queued since the mark, if none was popped.
    pub(crate) fn since(&self, mark: QueueMark) -> Vec<Key<Task>> {
        let tasks = self.tasks.borrow();
        let more = tasks.len().saturating_sub(mark.len);
        if more == 0 {
            return Vec::new(); // most runs wake no task
        }
        // A switch of green threads queues one before all others.
        let first = tasks.front().copied();
        let is_pushed_first = mark.len > 0 && first != mark.first;
        let pushed_first = first.filter(|_| is_pushed_first);
        let behind = tasks.iter().skip(mark.len + usize::from(is_pushed_first));
        pushed_first.into_iter().chain(behind.copied()).collect()
    }

    pub(crate) fn pop(&self) -> Option<Key<Task>> {
        self.tasks.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes a loop's run queue the current one on this thread, until it is dropped.
pub(crate) struct CurrentQueue {
    before: Option<Rc<RunQueue>>,
}

impl CurrentQueue {
    pub(crate) fn new(queue: &Rc<RunQueue>) -> Self {
        CurrentQueue {
            before: replace_current(Some(Rc::clone(queue))),
        }
    }
}

impl Drop for CurrentQueue {
    fn drop(&mut self) {
        let left = replace_current(self.before.take());
        drop(left); // the thread-local is not borrowed any more
    }
}

fn replace_current(with: Option<Rc<RunQueue>>) -> Option<Rc<RunQueue>> {
    QUEUE.with(|current| current.replace(with))
}

/// The waker of a task that has ended. If there are no other references to the waker, the next task
/// takes it, and neither allocates nor counts references.
pub(crate) struct SpareWaker {
    pub(crate) queue: Arc<TaskWaker>,
    pub(crate) waker: Waker,
}

impl SpareWaker {
    pub(crate) fn new(inbox: Arc<LoopInbox>) -> Self {
        let queue = TaskWaker::new(Task::NONE, inbox);
        let waker = Waker::from(Arc::clone(&queue));
        SpareWaker { queue, waker }
    }

    /// The waker of an ended task for another one, if these two references are the only ones and no
    /// wake is outstanding.
    pub(crate) fn reused(self) -> Option<Self> {
        let queue = &self.queue;
        // A third reference may wake the key of the ended task at any time, which must find
        // nothing. That no thread makes one from here on is sure: it would need a reference.
        if Arc::strong_count(queue) != 2 || queue.is_queued() {
            return None;
        }
        queue.again.store(false, Ordering::Relaxed);
        queue.canceled.store(false, Ordering::Relaxed);
        Some(self)
    }

    /// Gives the waker to a task.
    pub(crate) fn rename(&self, task: Key<Task>) {
        self.queue.task.store(task.to_u64(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_and_waker(task: u64) -> (Rc<RunQueue>, Arc<TaskWaker>) {
        let inbox = LoopInbox::new().unwrap();
        let waker = TaskWaker::new(Key::from_u64(task), Arc::clone(&inbox));
        (RunQueue::new(inbox), waker)
    }

    #[test]
    fn a_wake_on_the_loops_thread_queues_the_task_once() {
        let (queue, waker) = queue_and_waker(7);
        let _current = CurrentQueue::new(&queue);
        let foreign = Waker::from(Arc::clone(&waker));
        foreign.wake_by_ref();
        foreign.wake();
        assert_eq!(queue.pop(), Some(Key::from_u64(7)));
        assert_eq!(queue.pop(), None);
        waker.begin_run();
        waker.wake_by_ref();
        assert_eq!(queue.len(), 1, "a wake after the run began counts");
        assert!(waker.inbox.take().wakes.is_empty());
    }

    #[test]
    fn a_task_that_wakes_itself_is_queued_when_its_run_ends() {
        let (queue, waker) = queue_and_waker(7);
        let _current = CurrentQueue::new(&queue);
        waker.begin_run();
        let running = waker.running();
        waker.wake_by_ref();
        drop(running);
        assert!(queue.is_empty());
        assert!(waker.end_run());
        assert!(!waker.end_run());
    }

    #[test]
    fn wakes_from_elsewhere_go_through_the_inbox_and_are_sent_once() {
        let (queue, waker) = queue_and_waker(7);
        let (other, _) = queue_and_waker(8);
        let _current = CurrentQueue::new(&other);
        let thread = std::thread::spawn({
            let waker = Arc::clone(&waker);
            move || waker.wake_by_ref()
        });
        waker.wake_by_ref(); // another loop is current here
        thread.join().unwrap();
        let arrived = waker.inbox.take().wakes;
        assert_eq!(arrived.len(), 1);
        arrived[0].arrive();
        queue.push(&arrived[0]);
        assert_eq!((queue.len(), other.len()), (1, 0));
        waker.wake_by_ref();
        assert_eq!(
            waker.inbox.take().wakes.len(),
            1,
            "after its arrival it is sent again"
        );
    }

    #[test]
    fn a_waker_is_reused_only_without_other_references() {
        let spare = SpareWaker::new(LoopInbox::new().unwrap());
        let kept = spare.waker.clone();
        let (queue, waker) = (Arc::clone(&spare.queue), spare.waker.clone());
        assert!(SpareWaker { queue, waker }.reused().is_none());
        drop(kept);
        let spare = spare.reused().expect("these are the only references");
        spare.rename(Key::from_u64(9));
        assert_eq!(spare.queue.task(), Key::from_u64(9));
    }
}
