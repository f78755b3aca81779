//! The permits of a pool, and the queue of functions that have none yet.

use oneloop_sync::{Acquire, Event, Permit, Semaphore, UntilSet};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// The permits of a pool, and how many functions wait for one.
pub(crate) struct Permits {
    pub(crate) semaphore: Semaphore,
    size: Cell<usize>,
    /// How many permits are not released when their members end, as the pool has shrunk.
    surplus: Cell<usize>,
    queued: Cell<usize>,
    /// How many members left the queue without a permit, and have not left the pool yet.
    leaving: Cell<usize>,
    /// Set for a moment whenever the queue gets shorter.
    dequeued: Event,
}

/// A permit that is there, or a place in the line for one.
pub(crate) enum PermitOrTurn {
    Permit(Permit),
    Queued(Turn),
}

impl Permits {
    pub(crate) fn new(size: usize, semaphore: Semaphore) -> Rc<Self> {
        Rc::new(Permits {
            semaphore,
            size: Cell::new(size),
            surplus: Cell::new(0),
            queued: Cell::new(0),
            leaving: Cell::new(0),
            dequeued: Event::new(),
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    pub(crate) fn resize(&self, size: usize) {
        let before = self.size.replace(size);
        for _ in before..size {
            self.release();
        }
        for _ in size..before {
            match self.semaphore.try_acquire() {
                Some(free) => free.forget(),
                None => self.surplus.update(|surplus| surplus + 1),
            }
        }
    }

    /// Releases the permit of a member that has ended, unless the pool has shrunk.
    pub(crate) fn release(&self) {
        match self.surplus.get() {
            0 => self.semaphore.release(),
            surplus => self.surplus.set(surplus - 1),
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.get()
    }

    /// The number of members that have no permit.
    pub(crate) fn without_permit(&self) -> usize {
        self.queued.get() + self.leaving.get()
    }

    /// Takes a permit, or a place in the line. `None` if `queued_max` functions have one already.
    pub(crate) fn place(self: &Rc<Self>, queued_max: usize) -> Option<PermitOrTurn> {
        let mut acquire = self.semaphore.acquire_in_line();
        // The first poll takes the place; the task's own waker follows when the task first runs.
        let place = Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(permit) = place {
            return Some(PermitOrTurn::Permit(permit));
        }
        if self.queued.get() >= queued_max {
            return None;
        }
        self.queued.update(|queued| queued + 1);
        Some(PermitOrTurn::Queued(Turn {
            acquire,
            permits: Rc::clone(self),
            has_permit: Rc::default(),
        }))
    }

    fn dequeue(&self) {
        self.queued.update(|queued| queued - 1);
        // Waiters that `set` woke continue in spite of `clear`.
        self.dequeued.set();
        self.dequeued.clear();
    }

    pub(crate) fn until_queued(self: &Rc<Self>, queued_max: usize) -> UntilQueued {
        UntilQueued {
            permits: Rc::clone(self),
            queued_max,
            dequeued: self.dequeued.until_set(),
        }
    }
}

/// The place of a function in the line for a permit: a future that is ready once it has one.
pub(crate) struct Turn {
    acquire: Acquire,
    permits: Rc<Permits>,
    has_permit: Rc<Cell<bool>>,
}

impl Turn {
    /// Returns what has to be called when the function's thread has left the pool.
    pub(crate) fn at_end(&self) -> impl FnOnce() + 'static {
        let (permits, has_permit) = (Rc::clone(&self.permits), Rc::clone(&self.has_permit));
        move || match has_permit.get() {
            true => permits.release(),
            false => permits.leaving.update(|leaving| leaving - 1),
        }
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        permit.forget(); // `at_end` releases it
        self.has_permit.set(true);
        self.permits.dequeue();
        Poll::Ready(())
    }
}

impl Drop for Turn {
    /// Leaves the queue, if that has not happened: the function never begins.
    fn drop(&mut self) {
        if !self.has_permit.get() {
            self.permits.leaving.update(|leaving| leaving + 1); // until `at_end`
            self.permits.dequeue();
        }
    }
}

/// The future of [`Pool::until_queued`](crate::Pool::until_queued).
#[must_use = "futures do nothing unless awaited"]
pub struct UntilQueued {
    permits: Rc<Permits>,
    queued_max: usize,
    dequeued: UntilSet,
}

impl fmt::Debug for UntilQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, queued_max) = (self.permits.queued(), self.queued_max);
        write!(f, "UntilQueued({queued} queued, at most {queued_max})")
    }
}

impl Future for UntilQueued {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while self.permits.queued() > self.queued_max {
            ready!(Pin::new(&mut self.dequeued).poll(cx));
            self.dequeued = self.permits.dequeued.until_set();
        }
        Poll::Ready(())
    }
}
