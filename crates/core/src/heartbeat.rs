//! What another thread sees of a loop: which task runs, and whether it is still the same run.

use crate::handle::{Handle, Inner};
use crate::slots::Key;
use crate::task::Task;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence};
use std::sync::{Arc, Mutex, PoisonError};

/// The task that runs, as a thread that watches the loop sees it.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The task; none is the future of `block_on`.
    pub task: Option<Key<Task>>,
    /// Where it was spawned; not known of the future of `block_on`.
    pub spawned_at: Option<&'static Location<'static>>,
}

/// A loop's life sign, for a thread that watches it: see [`Handle::heartbeat`].
#[derive(Debug, Default)]
pub struct Heartbeat {
    /// Changes whenever a run begins or ends.
    beats: AtomicU64,
    running: Mutex<Option<Running>>,
}

impl Heartbeat {
    /// A number that stays the same only while one run of one task goes on, or the loop waits.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// The task that runs; none while the loop waits or works for itself.
    pub fn running(&self) -> Option<Running> {
        // Nothing that holds the lock can leave the value half-changed.
        *self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, running: Option<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        self.beats.fetch_add(1, Ordering::Release);
    }
}

thread_local! {
    /// Without a destructor, so that a signal handler may look at it.
    static BETWEEN_STACKS: AtomicBool = const { AtomicBool::new(false) };
}

/// Says that this thread is about to leave its stack for another one, or that it has arrived there: for
/// a style that switches stacks.
#[inline]
pub fn set_between_stacks(between: bool) {
    compiler_fence(Ordering::SeqCst);
    BETWEEN_STACKS.with(|cell| cell.store(between, Ordering::Relaxed));
    compiler_fence(Ordering::SeqCst);
}

/// True while this thread switches stacks: a signal handler that interrupts it there can walk neither.
pub fn is_between_stacks() -> bool {
    BETWEEN_STACKS.with(|cell| cell.load(Ordering::Relaxed))
}

impl Handle {
    /// The loop's life sign. From the first call on, each run of a task costs two uncontended locks.
    pub fn heartbeat(&self) -> Arc<Heartbeat> {
        Arc::clone(self.inner.heartbeat.get_or_init(Arc::default))
    }
}

/// One run of a task, until this is dropped: by a panic, too.
pub(crate) struct Beat(Arc<Heartbeat>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.beat(None);
    }
}

impl Inner {
    /// Tells whoever watches that a task begins to run.
    #[inline]
    pub(crate) fn beat(&self, key: Key<Task>) -> Option<Beat> {
        let heartbeat = self.heartbeat.get()?;
        Some(self.begin_beat(key, heartbeat))
    }

    #[cold]
    fn begin_beat(&self, key: Key<Task>, heartbeat: &Arc<Heartbeat>) -> Beat {
        heartbeat.beat(Some(Running {
            task: Some(key).filter(|key| *key != Task::MAIN),
            spawned_at: self.spawned_at(key),
        }));
        Beat(Arc::clone(heartbeat))
    }
}

#[cfg(test)]
mod tests {
    use crate::event_loop::EventLoop;
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
