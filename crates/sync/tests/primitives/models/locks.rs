//! Locks that know their owners, in tasks that take random steps, and cancel each other.

use super::*;
use oneloop_core::{CancelHandle, EventLoop, JoinError, yield_now};
use std::cell::{Cell, RefCell};

#[derive(Clone, Copy, Debug)]
enum LockStep {
    Acquire,
    /// Polls an acquire once, and gives it up unless it is ready.
    AcquireNow,
    TryAcquire,
    Release,
    Yield,
    Cancel(usize),
}

pub(crate) const KINDS: usize = 12;

impl From<Step> for LockStep {
    fn from((kind, any): Step) -> Self {
        match kind {
            0..3 => LockStep::Acquire,
            3 => LockStep::AcquireNow,
            4 => LockStep::TryAcquire,
            5..8 => LockStep::Release,
            8..11 => LockStep::Yield,
            _ => LockStep::Cancel(any),
        }
    }
}

/// The lock, and what the model knows of it.
#[derive(Clone, Default)]
struct Locks {
    real: RLock,
    owner: Rc<Cell<Option<usize>>>,
    tasks: Rc<RefCell<Vec<CancelHandle>>>,
}

/// What one task has of the lock.
struct Held {
    locks: Locks,
    task: usize,
    guards: Vec<RLockGuard>,
}

impl Held {
    fn add(&mut self, guard: RLockGuard) {
        let owner = (!self.guards.is_empty()).then_some(self.task);
        assert_eq!(self.locks.owner.replace(Some(self.task)), owner);
        self.guards.push(guard);
    }

    fn remove(&mut self) {
        if self.guards.len() == 1 {
            self.locks.owner.set(None);
        }
        self.guards.pop();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        while !self.guards.is_empty() {
            self.remove();
        }
    }
}

async fn use_lock(locks: Locks, task: usize, steps: Vec<Step>) {
    let real = locks.real.clone();
    let guards = Vec::new();
    let mut held = Held {
        locks,
        task,
        guards,
    };
    for step in steps {
        match step.into() {
            LockStep::Acquire => held.add(real.acquire().await),
            LockStep::AcquireNow => {
                if let Poll::Ready(guard) = Polled::new(real.acquire()).poll() {
                    held.add(guard);
                }
            }
            LockStep::TryAcquire => real.try_acquire().into_iter().for_each(|it| held.add(it)),
            LockStep::Release => held.remove(),
            LockStep::Yield => yield_now().await,
            LockStep::Cancel(any) => {
                let task = held.locks.tasks.borrow().get(any).cloned();
                task.into_iter().for_each(|task| task.cancel());
            }
        }
        assert_eq!(
            real.is_ours(),
            !held.guards.is_empty(),
            "its depth is wrong"
        );
    }
}

/// Runs one task for each script.
pub(crate) fn run(scripts: Vec<Vec<Step>>) {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let locks = Locks::default();
    let tasks = scripts.into_iter().enumerate();
    let tasks: Vec<_> = tasks
        .map(|(task, steps)| handle.spawn(use_lock(locks.clone(), task, steps)))
        .collect();
    let cancels = tasks.iter().map(|task| task.cancel_handle());
    locks.tasks.borrow_mut().extend(cancels);
    event_loop.run().unwrap();
    // A loop ends when all of its tasks wait for each other.
    assert_eq!(handle.task_count(), 0, "a task sleeps");
    assert!(!locks.real.is_locked() && locks.real.waiting() == 0);
    for task in tasks {
        match event_loop.block_on(task) {
            Ok(()) | Err(JoinError::Canceled) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
