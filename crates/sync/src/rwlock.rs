//! A lock around a value, for many readers or one writer, whose guards may be held over waits.

use crate::waiters::{Effects, SharedState, Ticket, Waiters};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A value that many tasks read at a time, or one task writes, over waits too: tokio's `RwLock`.
///
/// It is fair, and so prefers writers as tokio's does: waiters take the lock in the order in which
/// they came, and a reader that comes while a writer waits is behind that writer. Within one turn a
/// task needs no lock: use a `RefCell` there. This lock is for a value that must stay the same
/// while its readers wait.
///
/// A clone is a handle to the same value, so `Rc<RwLock<T>>` and `Arc<RwLock<T>>` are not needed,
/// and guards borrow nothing. Other threads reach the value by [`RwLock::remote`].
///
/// ```
/// use oneloop::aio::{block_on, spawn, yield_now};
/// use oneloop::sync::RwLock;
///
/// block_on(async {
///     let routes = RwLock::new(vec!["/"]);
///     let reader = spawn({
///         let routes = routes.clone();
///         async move {
///             let routes = routes.read().await;
///             let before = routes.len();
///             yield_now().await; // the writer waits meanwhile
///             assert_eq!(routes.len(), before);
///         }
///     });
///     yield_now().await;
///     routes.write().await.push("/tea");
///     reader.await.unwrap();
///     assert_eq!(*routes.read().await, ["/", "/tea"]);
/// });
/// ```
///
/// A green thread calls `lock.read().wait()` and `lock.write().wait()`. A callback calls
/// [`RwLock::try_read`] and [`RwLock::try_write`], or waits in
/// `spawn_micro(async move { … lock.read().await … })`.
///
/// **A panic releases the lock.** There is no poisoning, as in tokio. A canceled task and a killed
/// green thread release it in the same way.
///
/// **A task that reads twice may wait for itself**, behind a writer that came in between, and that
/// waits for the first guard. Read once, and pass the value on.
#[doc(alias = "OwnedRwLockReadGuard")]
#[doc(alias = "OwnedRwLockWriteGuard")]
#[doc(alias = "read_owned")]
#[doc(alias = "write_owned")]
pub struct RwLock<T> {
    state: Rc<RwLockState<T>>,
}

struct RwLockState<T> {
    holders: SharedState<Holders>,
    /// Readers have clones of it. `None` while a writer has it.
    // The guards own the value instead of borrowing it, as in `Mutex`.
    value: RefCell<Option<Rc<T>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The holders of the lock, and the tasks that wait for it.
///
/// ```text
///  2 readers hold it:   ◀── write ─ read ─ read ─ write ◀── wait
///  they are gone:       ◀── write ┃ read ─ read ─ write         the writer is admitted
///  the writer is gone:  ◀── read ─ read ┃ write                 both readers are admitted
/// ```
#[derive(Default)]
struct Holders {
    readers: usize,
    has_writer: bool,
    line: Waiters<Access>,
}

impl Holders {
    /// True if the holders allow this access.
    fn allow(&self, access: Access) -> bool {
        !self.has_writer && (access == Access::Read || self.readers == 0)
    }

    /// True if a task that holds this ticket, or has none, may take the lock now.
    fn may_pass(&self, ticket: Option<Ticket<Access>>, access: Access) -> bool {
        match ticket {
            Some(ticket) => self.line.is_admitted(ticket),
            // It takes nothing from readers that are admitted, and waits behind all others.
            None => self.allow(access) && self.may_follow(access) && self.line.waiting() == 0,
        }
    }

    /// True if the admitted waiters, which have not run yet, leave room for this access.
    fn may_follow(&self, access: Access) -> bool {
        // Admitted together are only readers.
        let before = self.line.first_held().filter(|_| self.line.admitted() > 0);
        before.is_none_or(|before| (*before, access) == (Access::Read, Access::Read))
    }

    /// Admits the waiters whose turn has come.
    fn settle(&mut self, effects: &mut Effects) {
        while let Some(access) = self.line.next_held().copied()
            && self.allow(access)
            && self.may_follow(access)
        {
            self.line.admit(effects);
        }
    }

    fn take(&mut self, access: Access) {
        match access {
            Access::Read => self.readers += 1,
            Access::Write => self.has_writer = true,
        }
    }

    fn release(&mut self, access: Access) {
        match access {
            Access::Read => self.readers -= 1,
            Access::Write => self.has_writer = false,
        }
    }
}

impl<T> RwLock<T> {
    /// Creates a lock that no task holds.
    pub fn new(value: T) -> Self {
        RwLock {
            state: Rc::new(RwLockState {
                holders: SharedState::new(Holders::default()),
                value: RefCell::new(Some(Rc::new(value))),
            }),
        }
    }

    /// Waits until the value may be read; first come, first served. The future and its guard borrow
    /// nothing, so they may move to another task.
    ///
    /// Cancel safe: a dropped future gives up its ticket, and the tasks behind it are admitted.
    pub fn read(&self) -> RwLockRead<T> {
        RwLockRead {
            acquire: self.acquire(Access::Read),
        }
    }

    /// Waits until no other task holds the lock; first come, first served. The future and its guard
    /// borrow nothing, so they may move to another task.
    ///
    /// Cancel safe: a dropped future gives up its ticket, and the tasks behind it are admitted.
    pub fn write(&self) -> RwLockWrite<T> {
        RwLockWrite {
            acquire: self.acquire(Access::Write),
        }
    }

    fn acquire(&self, access: Access) -> Acquire<T> {
        Acquire {
            lock: self.clone(),
            access,
            ticket: None,
        }
    }

    /// Reads the value, if no task writes it or waits for the lock.
    pub fn try_read(&self) -> Option<RwLockReadGuard<T>> {
        let hold = self.try_hold(Access::Read)?;
        Some(RwLockReadGuard { hold })
    }

    /// Takes the value, if no task holds the lock or waits for it.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<T>> {
        let hold = self.try_hold(Access::Write)?;
        Some(RwLockWriteGuard { hold })
    }

    fn try_hold(&self, access: Access) -> Option<Hold<T>> {
        let taken = self.state.holders.change(|holders, _| {
            let may_pass = holders.may_pass(None, access);
            if may_pass {
                holders.take(access);
            }
            may_pass
        });
        taken.then(|| Hold::new(self, access))
    }

    /// Returns the number of tasks that wait for the lock, and whose turn has not come.
    pub fn waiting(&self) -> usize {
        self.state.holders.look(|holders| holders.line.waiting())
    }

    /// Borrows the value without locking it. `None` if there is another handle, a guard or a
    /// waiter, as with [`Rc::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let state = Rc::get_mut(&mut self.state)?;
        Rc::get_mut(state.value.get_mut().as_mut()?)
    }

    /// Returns the value.
    ///
    /// # Errors
    /// Returns the lock if there is another handle, a guard or a waiter, as with
    /// [`Rc::try_unwrap`].
    pub fn into_inner(self) -> Result<T, Self> {
        let state = Rc::try_unwrap(self.state).map_err(|state| RwLock { state })?;
        let value = state.value.into_inner().and_then(Rc::into_inner);
        Ok(value.expect("a guard is a handle, and there is no other handle"))
    }
}

impl<T> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        RwLock {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.try_read() {
            Some(guard) => lock.field("value", &*guard),
            None => lock.field("value", &format_args!("<locked>")),
        };
        lock.field("waiting", &self.waiting()).finish()
    }
}

/// A wait for one kind of access.
struct Acquire<T> {
    lock: RwLock<T>,
    access: Access,
    ticket: Option<Ticket<Access>>,
}

impl<T> Acquire<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Hold<T>> {
        let (access, ticket) = (self.access, &mut self.ticket);
        let passed = self.lock.state.holders.poll(cx, |holders, waker, effects| {
            if holders.may_pass(*ticket, access) {
                holders.take(access);
                if let Some(ticket) = ticket.take() {
                    holders.line.leave(ticket, effects);
                }
                return Poll::Ready(());
            }
            if let Some(waker) = waker.take() {
                holders.line.wait(ticket, waker, || access, effects);
            }
            Poll::Pending
        });
        passed.map(|()| Hold::new(&self.lock, access))
    }
}

impl<T> Drop for Acquire<T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.lock.state.holders.change(|holders, effects| {
                holders.line.leave(ticket, effects);
                holders.settle(effects);
            });
        }
    }
}

impl<T> fmt::Debug for Acquire<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acquire").field(&self.access).finish()
    }
}

/// The lock and its value, held for one kind of access until this is dropped.
struct Hold<T> {
    lock: RwLock<T>,
    access: Access,
    /// `None` only during the drop.
    value: Option<Rc<T>>,
}

impl<T> Hold<T> {
    /// The caller has taken its share of the holders.
    fn new(lock: &RwLock<T>, access: Access) -> Self {
        let value = &lock.state.value;
        Hold {
            lock: lock.clone(),
            access,
            value: match access {
                Access::Read => value.borrow().clone(),
                Access::Write => value.take(),
            },
        }
    }

    fn value(&self) -> &T {
        self.value.as_deref().expect(HAS_VALUE)
    }
}

const HAS_VALUE: &str = "only the drop takes the value";

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        // Before the release: the next writer must find the value, and without other owners.
        match self.access {
            Access::Read => self.value = None, // drops no `T`: the lock owns it, too
            Access::Write => *self.lock.state.value.borrow_mut() = self.value.take(),
        }
        self.lock.state.holders.change(|holders, effects| {
            holders.release(self.access);
            holders.settle(effects);
        });
    }
}

/// The future of [`RwLock::read`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct RwLockRead<T> {
    acquire: Acquire<T>,
}

impl<T> Future for RwLockRead<T> {
    type Output = RwLockReadGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockReadGuard<T>> {
        let hold = ready!(self.acquire.poll(cx));
        Poll::Ready(RwLockReadGuard { hold })
    }
}

/// The future of [`RwLock::write`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct RwLockWrite<T> {
    acquire: Acquire<T>,
}

impl<T> Future for RwLockWrite<T> {
    type Output = RwLockWriteGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockWriteGuard<T>> {
        let hold = ready!(self.acquire.poll(cx));
        Poll::Ready(RwLockWriteGuard { hold })
    }
}

/// The value of an [`RwLock`], which no task writes until this is dropped.
///
/// A guard that is leaked (`std::mem::forget`) locks writers out forever.
#[must_use = "a guard that is dropped at once unlocks the value at once"]
pub struct RwLockReadGuard<T> {
    hold: Hold<T>,
}

impl<T> RwLockReadGuard<T> {
    /// The lock that this guard holds. It is no method, so that it hides none of the value's.
    pub fn rwlock(guard: &Self) -> &RwLock<T> {
        &guard.hold.lock
    }
}

/// The value of an [`RwLock`], which no other task reads or writes until this is dropped.
///
/// A guard that is leaked (`std::mem::forget`) keeps the value locked forever.
#[must_use = "a guard that is dropped at once unlocks the value at once"]
pub struct RwLockWriteGuard<T> {
    hold: Hold<T>,
}

impl<T> RwLockWriteGuard<T> {
    /// The lock that this guard holds. It is no method, so that it hides none of the value's.
    pub fn rwlock(guard: &Self) -> &RwLock<T> {
        &guard.hold.lock
    }

    /// Continues as a reader, without a moment in which another task could write. Readers that
    /// wait in front of the next writer are admitted.
    ///
    /// ```
    /// use oneloop::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut guard = lock.try_write().unwrap();
    /// *guard = 2;
    /// let guard = RwLockWriteGuard::downgrade(guard);
    /// assert_eq!((*guard, *lock.try_read().unwrap()), (2, 2));
    /// assert!(lock.try_write().is_none());
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<T> {
        let mut hold = guard.hold;
        hold.access = Access::Read;
        let RwLockState { holders, value } = &*hold.lock.state;
        value.borrow_mut().clone_from(&hold.value);
        holders.change(|holders, effects| {
            holders.release(Access::Write);
            holders.take(Access::Read);
            holders.settle(effects);
        });
        RwLockReadGuard { hold }
    }
}

impl<T> Deref for RwLockWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.hold.value()
    }
}

impl<T> DerefMut for RwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        let value = self.hold.value.as_mut().expect(HAS_VALUE);
        Rc::get_mut(value).expect("a writer is the only owner")
    }
}

impl<T> Deref for RwLockReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.hold.value()
    }
}

macro_rules! formats_as_its_value {
    ($guard:ident) => {
        impl<T: fmt::Debug> fmt::Debug for $guard<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: fmt::Display> fmt::Display for $guard<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}
formats_as_its_value!(RwLockReadGuard);
formats_as_its_value!(RwLockWriteGuard);
