//! The reactor's view of a source: its readiness, and the waiter in each direction.

use crate::mechanisms::ready::{Direction, Interest, Ready, Trigger};
use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use crate::tasks::waiter::Waiter;
use std::cell::Cell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Waker;

/// Other code's access to the fd of a [`Source`](crate::Source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This source owns the only descriptor. The fd is registered edge-triggered, and its close
    /// removes it from epoll. If there is a duplicate all the same, its events find no key and wake
    /// the loop for nothing.
    Sole,
    /// Loops of other threads have duplicates of the fd, a listener's: each event wakes one of the
    /// loops that sleep ([`Trigger::EdgeForOne`](crate::Trigger)). It is removed from epoll before it
    /// is dropped. A loop that was woken and does not accept keeps its connection waiting.
    OnePerLoop,
    /// Other code reads the fd or holds a duplicate. The fd is registered level-triggered, re-armed
    /// at each wait, and removed from epoll before it is dropped.
    Shared,
}

impl Ownership {
    pub(crate) fn trigger(self) -> Trigger {
        match self {
            Ownership::Sole => Trigger::Edge,
            Ownership::OnePerLoop => Trigger::EdgeForOne,
            Ownership::Shared => Trigger::LevelOnce,
        }
    }
}

/// The state of a source: the reactor marks it, and the source reads it.
///
/// The readiness of one direction, with [`Ownership::Sole`]:
///
/// ```text
///              mark (an edge), or assume_ready
///   blocked ────────────────────────────────────▶ ready ──┐ a full count: there may be more
///      ▲                                           │ ▲────┘
///      └───────────────────────────────────────────┘
///        EAGAIN; or a short count, unless RDHUP, HUP, ERR or PRI says that there is more (rule 3)
/// ```
///
/// With [`Ownership::Shared`] each operation leads back to `blocked`: other code may have read the
/// fd.
///
/// The waiter of one direction:
///
/// ```text
///   none ──poll_ready, EAGAIN──▶ waits ──mark with a bit of the direction──▶ woken, then none
///     ├──────poll_watch────────▶ watches ──mark with ERR or HUP────────────▶ woken, then none
///     ◀── cancel, or the drop of its future, if its ticket is still the latest
/// ```
///
/// A new wait or watch takes the place of the old one, whose task is not woken.
pub(crate) struct Registration {
    pub(crate) ready: Cell<Ready>,
    pub(crate) interest: Cell<Interest>,
    pub(crate) ownership: Ownership,
    /// Waiting on this source keeps the loop alive.
    pub(crate) referenced: Cell<bool>,
    fd: RawFd,
    /// The waiter in each direction.
    waiters: [Cell<Waiter>; 2],
    /// True if the waiter only watches for an end: see
    /// [`Source::poll_watch`](crate::Source::poll_watch).
    watches: [Cell<bool>; 2],
    /// Changes with each wait, so that a dropped future cancels only its own wait.
    tickets: [Cell<u16>; 2],
}

impl Registration {
    pub(crate) fn new(fd: RawFd, interest: Interest, ownership: Ownership) -> Rc<Self> {
        Rc::new(Registration {
            ready: Cell::default(),
            interest: Cell::new(interest),
            ownership,
            referenced: Cell::new(true),
            fd,
            waiters: Default::default(),
            watches: Default::default(),
            tickets: Default::default(),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Adds the readiness that epoll reported and passes on the waiters that it wakes. Returns the
    /// number of them that kept the loop alive.
    #[inline]
    pub(crate) fn mark(&self, ready: Ready, woken: impl FnMut(Waiter)) -> usize {
        // Added, never replaced: with edges a bit stays true until an operation returns `EAGAIN`.
        self.ready.set(self.ready.get() | ready);
        let is_shared = self.ownership == Ownership::Shared;
        if is_shared {
            // EPOLLONESHOT has disarmed the fd for both directions, so both have to re-arm it.
            self.interest.set(Interest::NONE);
        }
        let is_awaited = |direction| is_shared || ready.intersects(self.awaited(direction));
        self.take(is_awaited, woken)
    }

    /// Passes on all waiters, as [`Registration::mark`] does.
    pub(crate) fn take_waiters(&self, woken: impl FnMut(Waiter)) -> usize {
        self.take(|_| true, woken)
    }

    #[inline]
    fn take(&self, which: impl Fn(Direction) -> bool, mut woken: impl FnMut(Waiter)) -> usize {
        let mut taken = 0;
        // Readers first, as in libuv: a reader that finds the end may cancel the write.
        for direction in [Direction::Read, Direction::Write] {
            if !which(direction) {
                continue;
            }
            let waiter = self.take_waiter(direction);
            if waiter.is_some() {
                woken(waiter);
                taken += usize::from(!self.watches[direction as usize].get());
            }
        }
        if self.referenced.get() { taken } else { 0 }
    }

    /// Takes the waiter of one direction.
    #[inline]
    pub(crate) fn take_waiter(&self, direction: Direction) -> Waiter {
        self.waiters[direction as usize].take()
    }

    /// The bits that end the wait in that direction.
    fn awaited(&self, direction: Direction) -> Ready {
        if self.watches[direction as usize].get() {
            // RDHUP alone does not end a watch: the peer has closed its half and may still read
            // (rule 3).
            Ready::HANG_UP | Ready::ERROR
        } else {
            Ready::of(direction)
        }
    }

    /// True if a task waits in that direction, and does not only watch it.
    pub(crate) fn is_waiting(&self, direction: Direction) -> bool {
        let is_parked = self.look(direction, Waiter::is_some);
        is_parked && !self.watches[direction as usize].get()
    }

    /// True if that waker waits in that direction, or watches it.
    pub(crate) fn is_parked(&self, direction: Direction, waker: &Waker) -> bool {
        self.look(direction, |old| match old {
            Waiter::Task(_) => false,
            Waiter::Foreign(old) => old.will_wake(waker),
        })
    }

    /// True if that task waits in that direction, or watches it.
    pub(crate) fn is_task_parked(&self, direction: Direction, task: Key<Task>) -> bool {
        self.look(direction, |old| match old {
            Waiter::Task(old) => *old == task,
            Waiter::Foreign(_) => false,
        })
    }

    /// The task that waits in that direction and does not only watch it. `owner` names the task of a
    /// waker.
    pub(crate) fn waiting_task(
        &self,
        direction: Direction,
        owner: impl FnOnce(&Waker) -> Option<Key<Task>>,
    ) -> Option<Key<Task>> {
        if self.watches[direction as usize].get() {
            return None;
        }
        self.look(direction, |waiter| match waiter {
            Waiter::Task(task) => Some(*task).filter(|task| *task != Task::NONE),
            Waiter::Foreign(waker) => owner(waker),
        })
    }

    /// True if a task waits in some direction, or watches it, whether that keeps the loop alive or
    /// not.
    pub(crate) fn has_waiter(&self) -> bool {
        [Direction::Read, Direction::Write]
            .iter()
            .any(|direction| self.look(*direction, Waiter::is_some))
    }

    fn look<T>(&self, direction: Direction, f: impl FnOnce(&Waiter) -> T) -> T {
        let cell = &self.waiters[direction as usize];
        // Taken and put back: a `Cell` lends nothing out.
        let waiter = cell.take();
        let result = f(&waiter);
        cell.set(waiter);
        result
    }

    /// Begins a wait or a watch in that direction; without a waiter, the last one stays. Returns the
    /// one that is replaced, and whether a wait that may keep the loop alive was there.
    #[inline]
    pub(crate) fn park(
        &self,
        direction: Direction,
        waiter: Option<Waiter>,
        watches: bool,
    ) -> (Waiter, bool) {
        let ticket = &self.tickets[direction as usize];
        // 16 bits are enough: a stale future would have to survive exactly 65,536 waits of other
        // tasks.
        ticket.set(ticket.get().wrapping_add(1));
        // A watch is not counted as a wait, so the caller needs to know which of the two was there.
        let watched = self.watches[direction as usize].replace(watches);
        let Some(waiter) = waiter else {
            return (Waiter::default(), !watched);
        };
        let replaced = self.waiters[direction as usize].replace(waiter);
        let waited = replaced.is_some() && !watched;
        (replaced, waited)
    }

    /// The ticket of the latest wait in that direction.
    pub(crate) fn ticket(&self, direction: Direction) -> u16 {
        self.tickets[direction as usize].get()
    }

    /// Takes back the readiness of a direction after `EAGAIN`.
    pub(crate) fn clear(&self, direction: Direction) {
        let ready = self.ready.get();
        self.ready.set(ready.without_blocked(direction));
    }

    /// Takes back the readiness of a direction after a short count, unless there is more for which
    /// no further edge comes: the end or the error of a closed or failed direction, or the bytes
    /// behind urgent ones (rule 3).
    pub(crate) fn clear_drained(&self, direction: Direction) {
        if !self.ready.get().has_more_than_bit(direction) {
            self.clear(direction);
        }
    }
}
