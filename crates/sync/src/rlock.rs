//! A lock that its owner may take again.

use crate::semaphore::{Acquire, Permit, Semaphore};
use oneloop_core::{Handle, Key, Task};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Who may own a lock: a task, or what runs in none.
type Owner = Option<Key<Task>>;

fn current() -> Owner {
    Handle::try_current().and_then(|handle| handle.current_task())
}

struct Inner {
    lock: Semaphore,
    owner: Cell<Option<Owner>>,
    /// How often its owner has it.
    depth: Cell<usize>,
}

/// A lock owned by the task that took it, which may take it again and gives it back as often:
/// `threading.RLock`, which gevent and eventlet have, too. Fair.
///
/// What runs in no task, such as the future of `block_on`, counts as one task. So do all callbacks of
/// one kind in the callback style, which run in the same task. A lock is for the tasks of one loop.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::{NotOwner, RLock};
/// let mut event_loop = EventLoop::new()?;
/// let lock = RLock::new();
/// let other = lock.clone();
/// event_loop.block_on(async {
///     let _outer = lock.acquire().await;
///     let _inner = lock.acquire().await; // it is ours: no wait
/// });
/// event_loop.handle().spawn(async move {
///     other.acquire().await.forget();
/// });
/// event_loop.run()?;
/// assert_eq!(lock.release(), Err(NotOwner), "it is the other's");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct RLock {
    inner: Rc<Inner>,
}

impl RLock {
    /// One that nobody owns.
    pub fn new() -> Self {
        RLock {
            inner: Rc::new(Inner {
                lock: Semaphore::new(1),
                owner: Cell::new(None),
                depth: Cell::new(0),
            }),
        }
    }

    /// Waits for the lock; whoever polls the future owns it then. Cancel safe.
    pub fn acquire(&self) -> RLockAcquire {
        RLockAcquire {
            acquire: self.inner.lock.acquire(),
            lock: self.clone(),
        }
    }

    /// Takes the lock, if it is ours, or if nobody has it or waits for it.
    pub fn try_acquire(&self) -> Option<RLockGuard> {
        self.enter_again().or_else(|| {
            let permit = self.inner.lock.try_acquire()?;
            Some(self.enter(permit))
        })
    }

    fn enter_again(&self) -> Option<RLockGuard> {
        self.is_ours().then(|| {
            let depth = &self.inner.depth;
            depth.set(depth.get() + 1);
            self.guard()
        })
    }

    fn enter(&self, permit: Permit) -> RLockGuard {
        permit.forget(); // the last release gives it back
        self.inner.owner.set(Some(current()));
        self.inner.depth.set(1);
        self.guard()
    }

    fn guard(&self) -> RLockGuard {
        RLockGuard {
            held: Some((self.clone(), current())),
        }
    }

    /// Gives the lock back once, as [`RLockGuard::forget`] has it done by hand.
    ///
    /// # Errors
    /// [`NotOwner`] when the current task does not own the lock: a `RuntimeError` in Python.
    pub fn release(&self) -> Result<(), NotOwner> {
        self.release_of(current())
    }

    fn release_of(&self, owner: Owner) -> Result<(), NotOwner> {
        let inner = &*self.inner;
        if inner.owner.get() != Some(owner) {
            return Err(NotOwner);
        }
        inner.depth.set(inner.depth.get() - 1);
        if inner.depth.get() == 0 {
            inner.owner.set(None);
            inner.lock.release();
        }
        Ok(())
    }

    /// True if the current task owns the lock.
    pub fn is_ours(&self) -> bool {
        self.inner.owner.get() == Some(current())
    }

    /// True if some task owns the lock.
    pub fn is_locked(&self) -> bool {
        self.inner.owner.get().is_some()
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.inner.lock.waiting()
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
            .field("depth", &self.inner.depth.get())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`RLock::acquire`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct RLockAcquire {
    acquire: Acquire,
    lock: RLock,
}

impl Future for RLockAcquire {
    type Output = RLockGuard;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RLockGuard> {
        if let Some(guard) = self.lock.enter_again() {
            return Poll::Ready(guard);
        }
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.lock.enter(permit))
    }
}

/// The lock, held once more until this is dropped, by whomever.
#[derive(Debug)]
#[must_use = "dropped at once, a lock is given back at once"]
pub struct RLockGuard {
    /// None once it was forgotten. It gives back what its owner took, though another one drop it: a
    /// task that is cancelled is dropped by others.
    held: Option<(RLock, Owner)>,
}

impl RLockGuard {
    /// Keeps it from being given back: whoever means to calls [`RLock::release`], as in Python.
    pub fn forget(mut self) {
        self.held = None;
    }
}

impl Drop for RLockGuard {
    fn drop(&mut self) {
        if let Some((lock, owner)) = self.held.take() {
            // Its owner may have given it back by hand as well.
            let _ = lock.release_of(owner);
        }
    }
}

/// Who does not own a lock cannot give it back: see [`RLock::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwner;

impl fmt::Display for NotOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is not owned by the current task")
    }
}
impl std::error::Error for NotOwner {}
