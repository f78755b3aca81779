//! A lock around a value, whose guard may be held over waits.

use crate::semaphore::{Acquire, Permit, Semaphore};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A value that one task uses at a time, over waits too: tokio's `Mutex`, gevent's `Semaphore(1)`
/// around a value.
///
/// The guard may be held over `.await` and over a green thread's waits. Waiters take the lock in
/// the order in which they came, and no task overtakes them. Within one turn a task needs no lock,
/// because all tasks of a loop run on one thread: use a `RefCell` there. This mutex is for a value
/// that must stay the same, or stay in use, while its user waits.
///
/// A clone is a handle to the same value, so `Rc<Mutex<T>>` and `Arc<Mutex<T>>` are not needed.
/// Other threads reach the value by [`Mutex::remote`].
///
/// ```
/// use oneloop::aio::{block_on, spawn, yield_now};
/// use oneloop::sync::Mutex;
///
/// block_on(async {
///     let balance = Mutex::new(100);
///     let withdrawals = [70, 50].map(|amount| {
///         let balance = balance.clone();
///         spawn(async move {
///             let mut balance = balance.lock().await;
///             if *balance >= amount {
///                 yield_now().await; // the other task waits for the lock meanwhile
///                 *balance -= amount;
///             }
///         })
///     });
///     for withdrawal in withdrawals {
///         withdrawal.await.unwrap();
///     }
///     assert_eq!(*balance.lock().await, 30);
/// });
/// ```
///
/// A green thread calls `mutex.lock().wait()`. A callback calls [`Mutex::try_lock`], or waits in
/// `spawn_micro(async move { … mutex.lock().await … })`.
///
/// **A panic releases the lock.** The guard is dropped as the stack unwinds, and the next waiter
/// gets the value as it is: there is no poisoning, as in tokio. A canceled task and a killed green
/// thread release the lock in the same way.
///
/// **A task that locks twice waits for itself.** `green::run` reports that as a deadlock, as it
/// reports tasks that wait for each other's locks. [`RLock`](crate::RLock) is the lock that its
/// owner can take again.
#[doc(alias = "lock_owned")]
#[doc(alias = "OwnedMutexGuard")]
pub struct Mutex<T> {
    state: Rc<MutexState<T>>,
}

struct MutexState<T> {
    lock: Semaphore,
    /// `None` while a guard has it.
    // The guard owns the value instead of borrowing it: a guard that lives over waits is part of
    // its task, and a borrow of an `Rc` in the same struct is not possible in safe code. Boxed, so
    // that a lock moves one pointer.
    value: Cell<Option<Box<T>>>,
}

impl<T> Mutex<T> {
    /// Creates a mutex that is not locked.
    pub fn new(value: T) -> Self {
        Mutex {
            state: Rc::new(MutexState {
                lock: Semaphore::new(1),
                value: Cell::new(Some(Box::new(value))),
            }),
        }
    }

    /// Waits for the lock; first come, first served. The future and its guard borrow nothing, so
    /// they may move to another task.
    ///
    /// Cancel safe: a dropped future gives up its ticket, and the lock goes to the next waiter.
    pub fn lock(&self) -> MutexLock<T> {
        MutexLock {
            acquire: self.state.lock.acquire(),
            mutex: self.clone(),
        }
    }

    /// Takes the lock, if no task holds it or waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<T>> {
        let permit = self.state.lock.try_acquire()?;
        Some(self.guard(permit))
    }

    /// Takes the value out of its place. The permit ensures that it is there.
    fn guard(&self, permit: Permit) -> MutexGuard<T> {
        MutexGuard {
            value: self.state.value.take(),
            mutex: self.clone(),
            _permit: permit,
        }
    }

    /// True while a guard exists, and while the lock passes to a waiter.
    pub fn is_locked(&self) -> bool {
        self.state.lock.available() == 0
    }

    /// Returns the number of tasks that wait for the lock.
    pub fn waiting(&self) -> usize {
        self.state.lock.waiting()
    }

    /// Borrows the value without locking it. `None` if there is another handle, a guard or a
    /// waiter, as with [`Rc::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let state = Rc::get_mut(&mut self.state)?;
        state.value.get_mut().as_deref_mut()
    }

    /// Returns the value.
    ///
    /// # Errors
    /// Returns the mutex if there is another handle, a guard or a waiter, as with
    /// [`Rc::try_unwrap`].
    pub fn into_inner(self) -> Result<T, Self> {
        let state = Rc::try_unwrap(self.state).map_err(|state| Mutex { state })?;
        let value = state.value.into_inner();
        Ok(*value.expect("a guard is a handle, and there is no other handle"))
    }
}

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Self {
        Mutex {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(guard) => mutex.field("value", &*guard),
            None => mutex.field("value", &format_args!("<locked>")),
        };
        mutex.field("waiting", &self.waiting()).finish()
    }
}

/// The future of [`Mutex::lock`]; it takes its ticket when it is first polled.
#[must_use = "futures do nothing unless awaited"]
pub struct MutexLock<T> {
    acquire: Acquire,
    mutex: Mutex<T>,
}

impl<T> Future for MutexLock<T> {
    type Output = MutexGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<T>> {
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.mutex.guard(permit))
    }
}

impl<T> fmt::Debug for MutexLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexLock").field(&self.acquire).finish()
    }
}

/// The value of a [`Mutex`], locked until this is dropped.
///
/// A guard that is leaked (`std::mem::forget`) keeps the mutex locked forever.
#[must_use = "a guard that is dropped at once unlocks the mutex at once"]
pub struct MutexGuard<T> {
    /// `None` only during the drop.
    value: Option<Box<T>>,
    mutex: Mutex<T>,
    _permit: Permit, // declared last: the next task must find the value when it gets the permit
}

impl<T> MutexGuard<T> {
    /// The mutex that this guard locks. It is no method, so that it hides none of the value's.
    pub fn mutex(guard: &Self) -> &Mutex<T> {
        &guard.mutex
    }
}

const HAS_VALUE: &str = "only the drop takes the value";

impl<T> Deref for MutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect(HAS_VALUE)
    }
}

impl<T> DerefMut for MutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect(HAS_VALUE)
    }
}

impl<T> Drop for MutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.state.value.set(self.value.take());
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
