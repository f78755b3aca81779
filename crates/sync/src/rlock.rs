//! A lock that its owner can take more than once.

use crate::semaphore::{Acquire, Permit, Semaphore};
use oneloop_core::{Handle, Key, Task};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// An owner of a lock: a task, or `None` for code that runs in no task.
type Owner = Option<Key<Task>>;

fn current() -> Owner {
    Handle::try_current().and_then(|handle| handle.current_task())
}

struct RLockState {
    lock: Semaphore,
    /// `None` while no task owns the lock; `Some(None)` for code that runs in no task.
    owner: Cell<Option<Owner>>,
    /// How many times the owner has taken the lock and not released it.
    depth: Cell<usize>,
}

/// A fair lock that belongs to the task that took it: that task may take it again, and then has to
/// release it as often. This is Python's `threading.RLock`, which gevent and eventlet have, too.
///
/// Code that runs in no task, such as the future of `block_on`, counts as one task. So do all
/// callbacks of one kind in the callback style, because one task runs them. Use a lock on one loop
/// only: a task's name identifies it only within its loop.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::{NotOwner, RLock};
/// let mut event_loop = EventLoop::new()?;
/// let lock = RLock::new();
/// let other = lock.clone();
/// event_loop.block_on(async {
///     let _outer = lock.acquire().await;
///     let _inner = lock.acquire().await; // this task has it: no wait
/// });
/// event_loop.handle().spawn(async move {
///     other.acquire().await.forget();
/// });
/// event_loop.run()?;
/// assert_eq!(lock.release(), Err(NotOwner), "another task has it");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("ReentrantMutex", "ReentrantLock"))]
pub struct RLock {
    state: Rc<RLockState>,
}

impl RLock {
    /// Creates a lock that no task owns.
    pub fn new() -> Self {
        RLock {
            state: Rc::new(RLockState {
                lock: Semaphore::new(1),
                owner: Cell::new(None),
                depth: Cell::new(0),
            }),
        }
    }

    /// Waits for the lock. The task that polls the future becomes the owner. Cancel safe.
    pub fn acquire(&self) -> RLockAcquire {
        RLockAcquire {
            acquire: self.state.lock.acquire(),
            lock: self.clone(),
        }
    }

    /// Takes the lock, if the current task owns it, or if no task owns it or waits for it.
    pub fn try_acquire(&self) -> Option<RLockGuard> {
        self.enter_again().or_else(|| {
            let permit = self.state.lock.try_acquire()?;
            Some(self.enter(permit))
        })
    }

    fn enter_again(&self) -> Option<RLockGuard> {
        self.is_ours().then(|| {
            let depth = &self.state.depth;
            depth.set(depth.get() + 1);
            self.guard()
        })
    }

    fn enter(&self, permit: Permit) -> RLockGuard {
        permit.forget(); // the last release returns it
        self.state.owner.set(Some(current()));
        self.state.depth.set(1);
        self.guard()
    }

    fn guard(&self) -> RLockGuard {
        RLockGuard {
            held: Some((self.clone(), current())),
        }
    }

    /// Releases the lock once, for an [`RLockGuard`] that was forgotten.
    ///
    /// # Errors
    /// [`NotOwner`] if the current task does not own the lock. Python raises `RuntimeError`.
    pub fn release(&self) -> Result<(), NotOwner> {
        self.release_of(current())
    }

    fn release_of(&self, owner: Owner) -> Result<(), NotOwner> {
        let state = &*self.state;
        if state.owner.get() != Some(owner) {
            return Err(NotOwner);
        }
        state.depth.set(state.depth.get() - 1);
        if state.depth.get() == 0 {
            // In this order: the release wakes the next owner, which must not find the lock owned.
            state.owner.set(None);
            state.lock.release();
        }
        Ok(())
    }

    /// True if the current task owns the lock.
    pub fn is_ours(&self) -> bool {
        self.state.owner.get() == Some(current())
    }

    /// True if some task owns the lock.
    pub fn is_locked(&self) -> bool {
        self.state.owner.get().is_some()
    }

    /// Returns the number of tasks that wait for the lock.
    pub fn waiting(&self) -> usize {
        self.state.lock.waiting()
    }
}

impl Default for RLock {
    fn default() -> Self {
        RLock::new()
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock")
            .field("depth", &self.state.depth.get())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`RLock::acquire`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct RLockAcquire {
    acquire: Acquire,
    lock: RLock,
}

impl Future for RLockAcquire {
    type Output = RLockGuard;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RLockGuard> {
        // Before the line: the owner would wait behind tasks that wait for the owner.
        if let Some(guard) = self.lock.enter_again() {
            return Poll::Ready(guard);
        }
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.lock.enter(permit))
    }
}

/// Holds the lock once, until it is dropped.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct RLockGuard {
    /// `None` once it was forgotten.
    // The owner is kept because another task may drop the guard: a task that is canceled is dropped
    // by the task that cancels it.
    held: Option<(RLock, Owner)>,
}

impl RLockGuard {
    /// Drops the guard without releasing the lock. Call [`RLock::release`] to do so later, as in
    /// Python.
    pub fn forget(mut self) {
        self.held = None;
    }
}

impl Drop for RLockGuard {
    fn drop(&mut self) {
        if let Some((lock, owner)) = self.held.take() {
            // Fails if the owner called `release` once too often: that call has released this guard
            // already.
            let _ = lock.release_of(owner);
        }
    }
}

/// The error of [`RLock::release`]: the current task does not own the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not owned by the current task")
    }
}
impl std::error::Error for NotOwner {}
