//! A view of the loop for another thread: the running task, and whether it is still in the same
//! run.

use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence};
use std::sync::{Arc, Mutex, PoisonError};

/// The running task, as a thread that watches the loop sees it.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The task; `None` is the future of `block_on`.
    pub task: Option<Key<Task>>,
    /// The place where it was spawned; not known for the future of `block_on`.
    pub spawned_at: Option<&'static Location<'static>>,
}

/// A loop's heartbeat, for a thread that watches the loop: see
/// [`Handle::heartbeat`](crate::Handle::heartbeat).
#[derive(Debug, Default)]
pub struct Heartbeat {
    /// Changes whenever a run begins or ends.
    beats: AtomicU64,
    running: Mutex<Option<Running>>,
}

impl Heartbeat {
    /// A number that stays the same only during one run of one task, or while the loop waits.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// The running task; `None` while the loop waits or does its own work.
    pub fn running(&self) -> Option<Running> {
        // A panic cannot leave the value half-changed: it is replaced as a whole.
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that a run begins.
    #[cold]
    pub(crate) fn begin(
        self: Arc<Self>,
        task: Key<Task>,
        spawned_at: Option<&'static Location<'static>>,
    ) -> Beat {
        self.beat(Some(Running {
            task: Some(task).filter(|task| *task != Task::MAIN),
            spawned_at,
        }));
        Beat(self)
    }

    fn beat(&self, running: Option<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        // After the value: a watcher that sees the new beat sees the new task, too.
        self.beats.fetch_add(1, Ordering::Release);
    }
}

/// One run of a task, until it is dropped: by a panic, too.
pub(crate) struct Beat(Arc<Heartbeat>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.beat(None);
    }
}

thread_local! {
    /// Without a destructor, so that a signal handler may read it at any time.
    static BETWEEN_STACKS: AtomicBool = const { AtomicBool::new(false) };
}

/// Marks that this thread is about to leave its stack for another one, or has arrived there: for a
/// style that switches stacks.
#[inline]
pub fn set_between_stacks(between: bool) {
    // The handler runs on this thread, so the compiler's order is enough.
    compiler_fence(Ordering::SeqCst);
    BETWEEN_STACKS.with(|cell| cell.store(between, Ordering::Relaxed));
    compiler_fence(Ordering::SeqCst);
}

/// True while this thread switches stacks. A signal handler that interrupts it there can walk
/// neither stack.
pub fn is_between_stacks() -> bool {
    BETWEEN_STACKS.with(|cell| cell.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use crate::EventLoop;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_run_ends_with_its_panic() {
        let mut event_loop = EventLoop::new().unwrap();
        let heartbeat = event_loop.handle().heartbeat();
        let main = async { panic!("in the main future") };
        let panicked = catch_unwind(AssertUnwindSafe(|| event_loop.block_on(main)));
        assert!(panicked.is_err() && heartbeat.running().is_none());
    }
}
