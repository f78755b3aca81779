//! Waiting until something may have become true, with a lock on what it is about.

use crate::semaphore::{Acquire, Permit, Semaphore};
use crate::waiters::{Line, Shared, Ticket};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A lock, and a line of those who let go of it until they are notified: POSIX's condition variable and
/// Python's `threading.Condition`, which gevent and eventlet have, too.
///
/// The lock is fair, and its own; it cannot be taken twice by the same task. Nobody wakes for nothing,
/// but another one may have come first: look again, in a loop.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::Condition;
/// use std::{cell::Cell, rc::Rc};
/// let mut event_loop = EventLoop::new()?;
/// let (changed, fuel) = (Condition::new(), Rc::new(Cell::new(0)));
/// let (filled, tank) = (changed.clone(), Rc::clone(&fuel));
/// event_loop.handle().spawn(async move {
///     let _guard = filled.lock().await;
///     tank.set(3);
///     filled.notify_one();
/// });
/// event_loop.block_on(async {
///     let mut guard = changed.lock().await;
///     while fuel.get() == 0 {
///         guard = guard.wait().await;
///     }
///     fuel.set(fuel.get() - 1);
/// });
/// assert_eq!(fuel.get(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Condition {
    lock: Semaphore,
    line: Shared<Line>,
}

impl Condition {
    /// One that nobody has locked.
    pub fn new() -> Self {
        Condition {
            lock: Semaphore::new(1),
            line: Shared::new(Line::default()),
        }
    }

    /// Waits for the lock. Cancel safe.
    pub fn lock(&self) -> ConditionLock {
        ConditionLock {
            acquire: self.lock.acquire(),
            condition: self.clone(),
        }
    }

    /// Takes the lock, if nobody has it or waits for it.
    pub fn try_lock(&self) -> Option<ConditionGuard> {
        self.lock.try_acquire().map(|permit| self.guard(permit))
    }

    /// Lets the first who waits go on, if somebody does. As in POSIX, whether the lock is held or not.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Lets the first so many who wait go on.
    pub fn notify(&self, count: usize) {
        self.line.change(|line, after| {
            for _ in 0..count.min(line.waiting()) {
                line.admit(after);
            }
        });
    }

    /// Lets all who wait go on.
    pub fn notify_all(&self) {
        self.line.change(Line::admit_all);
    }

    /// How many wait and were not notified yet.
    pub fn waiting(&self) -> usize {
        self.line.look(Line::waiting)
    }

    fn guard(&self, permit: Permit) -> ConditionGuard {
        ConditionGuard {
            permit,
            condition: self.clone(),
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Condition::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("lock", &self.lock)
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`Condition::lock`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConditionLock {
    acquire: Acquire,
    condition: Condition,
}

impl Future for ConditionLock {
    type Output = ConditionGuard;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConditionGuard> {
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.condition.guard(permit))
    }
}

/// The lock of a [`Condition`], held until this is dropped.
#[derive(Debug)]
#[must_use = "dropped at once, a lock is given back at once"]
pub struct ConditionGuard {
    permit: Permit,
    condition: Condition,
}

impl ConditionGuard {
    /// Lets go of the lock, waits to be notified, and then for the lock.
    ///
    /// Cancel safe: the lock is not held then, and a notification that came goes to the next in line.
    pub fn wait(self) -> ConditionWait {
        ConditionWait {
            acquire: self.condition.lock.acquire(),
            condition: self.condition,
            permit: Some(self.permit),
            ticket: None,
        }
    }
}

/// The future of [`ConditionGuard::wait`]; when it is first polled it takes its place in line and lets
/// go of the lock.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConditionWait {
    condition: Condition,
    /// None once it was polled.
    permit: Option<Permit>,
    /// Kept until the lock is had, so that a notification can be passed on until then.
    ticket: Option<Ticket<()>>,
    acquire: Acquire,
}

impl ConditionWait {
    fn leave(&mut self, is_through: bool) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        self.condition.line.change(|line, after| {
            let is_notified = line.is_admitted(ticket);
            line.leave(ticket, after);
            if is_notified && !is_through {
                line.admit(after);
            }
        });
    }
}

impl Future for ConditionWait {
    type Output = ConditionGuard;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConditionGuard> {
        let this = self.get_mut();
        let ticket = &mut this.ticket;
        let notified = this.condition.line.poll(cx, |line, waker, after| {
            if ticket.is_some_and(|ticket| line.is_admitted(ticket)) {
                return Poll::Ready(());
            }
            if let Some(waker) = waker.take() {
                line.wait(ticket, waker, || (), after);
            }
            Poll::Pending
        });
        drop(this.permit.take()); // whoever has the lock from now on finds us in line
        ready!(notified);
        let permit = ready!(Pin::new(&mut this.acquire).poll(cx));
        this.leave(true);
        Poll::Ready(this.condition.guard(permit))
    }
}

impl Drop for ConditionWait {
    fn drop(&mut self) {
        self.leave(false);
    }
}
