//! A condition variable: a lock, and waiters that release it until they are notified.

use crate::semaphore::{Acquire, Permit, Semaphore};
use crate::waiters::{SharedState, Ticket, Waiters};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A condition variable with its lock: that of POSIX, and Python's `threading.Condition`, which
/// gevent and eventlet have, too.
///
/// A waiter releases the lock until it is notified. The lock is fair, and a task cannot take it
/// twice. There are no spurious wake-ups, but another task may run between the notification and the
/// waiter: check the condition again, in a loop.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::Condition;
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
#[doc(alias = "Condvar")]
pub struct Condition {
    lock: Semaphore,
    line: SharedState<Waiters>,
}

impl Condition {
    /// Creates a condition that is not locked.
    pub fn new() -> Self {
        Condition {
            lock: Semaphore::new(1),
            line: SharedState::new(Waiters::default()),
        }
    }

    /// Waits for the lock. Cancel safe.
    pub fn lock(&self) -> ConditionLock {
        ConditionLock {
            acquire: self.lock.acquire(),
            condition: self.clone(),
        }
    }

    /// Takes the lock, if no task holds it or waits for it.
    pub fn try_lock(&self) -> Option<ConditionGuard> {
        self.lock.try_acquire().map(|permit| self.guard(permit))
    }

    /// Notifies the first waiter, if there is one. As in POSIX, the caller need not hold the lock.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Notifies the first `count` waiters.
    pub fn notify(&self, count: usize) {
        self.line.change(|line, effects| {
            // Bounded by the line, because `count` may be as large as `usize::MAX`.
            for _ in 0..count.min(line.waiting()) {
                line.admit(effects);
            }
        });
    }

    /// Notifies all waiters.
    pub fn notify_all(&self) {
        self.line.change(Waiters::admit_all);
    }

    /// Returns the number of waiters that were not notified yet.
    pub fn waiting(&self) -> usize {
        self.line.look(Waiters::waiting)
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

/// The future of [`Condition::lock`]; it takes its ticket when it is first polled.
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
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct ConditionGuard {
    permit: Permit,
    condition: Condition,
}

impl ConditionGuard {
    /// Releases the lock, waits for a notification, and then waits for the lock.
    ///
    /// Cancel safe: a dropped wait does not hold the lock. If it was notified, the next waiter is
    /// notified instead.
    pub fn wait(self) -> ConditionWait {
        ConditionWait {
            acquire: self.condition.lock.acquire(),
            condition: self.condition,
            permit: Some(self.permit),
            ticket: None,
        }
    }
}

/// The future of [`ConditionGuard::wait`]; when it is first polled, it takes its ticket and
/// releases the lock.
///
/// ```text
///  holds the lock ──first poll──▶ in line ──notify──▶ notified ──lock──▶ ready
///                                   │                    │
///                                   └─ drop: leaves      └─ drop: the next waiter is notified
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConditionWait {
    condition: Condition,
    /// The lock that the guard held; `None` after the first poll.
    permit: Option<Permit>,
    /// Kept until the lock is taken: a drop before that passes the notification on.
    ticket: Option<Ticket<()>>,
    acquire: Acquire,
}

impl ConditionWait {
    fn leave(&mut self, has_lock: bool) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        self.condition.line.change(|line, effects| {
            let is_notified = line.is_admitted(ticket);
            line.leave(ticket, effects);
            if is_notified && !has_lock {
                line.admit(effects);
            }
        });
    }
}

impl Future for ConditionWait {
    type Output = ConditionGuard;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConditionGuard> {
        let this = self.get_mut();
        let ticket = &mut this.ticket;
        let notified = this.condition.line.poll(cx, |line, waker, effects| {
            if ticket.is_some_and(|ticket| line.is_admitted(ticket)) {
                return Poll::Ready(());
            }
            if let Some(waker) = waker.take() {
                line.wait(ticket, waker, || (), effects);
            }
            Poll::Pending
        });
        // Only once the task is in line: a notifier that takes the lock now must find it there.
        drop(this.permit.take());
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
