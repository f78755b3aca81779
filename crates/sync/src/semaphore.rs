//! So many at a time.

use crate::queue::{Get, Put, Queue};
use crate::turnstile::Turnstile;
use crate::waiters::{Shared, Ticket};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

struct State {
    permits: Turnstile,
    /// Who comes may take what is there, though others wait for it.
    barging: bool,
    /// More than that cannot be there.
    bound: Option<usize>,
}

/// A number of permits; who wants one when there is none waits, first come first served.
///
/// [`Semaphore::new`] is fair, as eventlet's: what is released is for the first in line.
/// [`Semaphore::barging`] is gevent's: what is released is for whoever takes it first.
///
/// ```
/// use oneloop_core::{EventLoop, yield_now};
/// use oneloop_sync::Semaphore;
/// let mut event_loop = EventLoop::new()?;
/// let one_at_a_time = Semaphore::new(1);
/// for name in ["a", "b"] {
///     let semaphore = one_at_a_time.clone();
///     event_loop.handle().spawn(async move {
///         let _permit = semaphore.acquire().await;
///         println!("{name} begins");
///         yield_now().await;
///         println!("{name} ends"); // before the other one begins
///     });
/// }
/// event_loop.run()?;
/// assert_eq!(one_at_a_time.available(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    state: Shared<State>,
}

impl Semaphore {
    /// A fair one: a released permit is for the first in line, and who comes later waits behind.
    pub fn new(permits: usize) -> Self {
        Semaphore::with(permits, false, None)
    }

    /// As gevent's: a released permit can be taken at once, by whoever runs, before the one who waits
    /// for it and was woken; that one keeps its place in line. Fewer changes of task, and no promise
    /// that anybody's turn comes.
    pub fn barging(permits: usize) -> Self {
        Semaphore::with(permits, true, None)
    }

    fn with(permits: usize, barging: bool, bound: Option<usize>) -> Self {
        Semaphore {
            state: Shared::new(State {
                permits: Turnstile::new(permits),
                barging,
                bound,
            }),
        }
    }

    /// Waits for a permit. Cancel safe.
    pub fn acquire(&self) -> Acquire {
        Acquire {
            semaphore: self.clone(),
            ticket: None,
        }
    }

    /// Takes a permit if there is one for the taking: see [`Semaphore::available`].
    pub fn try_acquire(&self) -> Option<Permit> {
        let taken = self.state.change(|state, after| {
            let may_pass = state.may_pass(None);
            if may_pass {
                state.permits.pass(&mut None, after);
            }
            may_pass
        });
        taken.then(|| Permit::new(self))
    }

    /// One permit more: the other half of [`Permit::forget`], or a wider way for all.
    ///
    /// # Panics
    /// When there are `usize::MAX` already.
    pub fn release(&self) {
        let released = self.try_release();
        debug_assert!(released.is_ok(), "a semaphore has no bound");
    }

    fn try_release(&self) -> Result<(), OverReleased> {
        self.state.change(|state, after| {
            if state.bound == Some(state.permits.available()) {
                return Err(OverReleased);
            }
            state.permits.add(after);
            Ok(())
        })
    }

    /// How many permits somebody who comes now could take. In a fair one, those for the ones in line
    /// are not among them.
    pub fn available(&self) -> usize {
        self.state.look(|state| match state.barging {
            true => state.permits.available(),
            false => state.permits.free(),
        })
    }

    /// How many wait, and have no permit waiting for them.
    pub fn waiting(&self) -> usize {
        self.state.look(|state| state.permits.waiting())
    }
}

impl State {
    fn may_pass(&self, ticket: Option<Ticket<()>>) -> bool {
        let barges = self.barging && ticket.is_none() && self.permits.available() > 0;
        barges || self.permits.may_pass(ticket)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`Semaphore::acquire`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    semaphore: Semaphore,
    ticket: Option<Ticket<()>>,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let Self { semaphore, ticket } = self.get_mut();
        let passed = semaphore.state.poll(cx, |state, waker, after| {
            if state.may_pass(*ticket) {
                state.permits.pass(ticket, after);
                return Poll::Ready(());
            }
            if let Some(waker) = waker.take() {
                state.permits.line.wait(ticket, waker, || (), after);
            }
            Poll::Pending
        });
        passed.map(|()| Permit::new(semaphore))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let state = &self.semaphore.state;
            state.change(|state, after| state.permits.give_up(ticket, after));
        }
    }
}

/// The right to go on, given back with its drop.
#[derive(Debug)]
#[must_use = "dropped at once, a permit is given back at once"]
pub struct Permit {
    /// None once it was forgotten.
    semaphore: Option<Semaphore>,
}

impl Permit {
    fn new(semaphore: &Semaphore) -> Self {
        Permit {
            semaphore: Some(semaphore.clone()),
        }
    }

    /// Keeps it from being given back: whoever means to calls `release` on the semaphore, as in
    /// Python.
    pub fn forget(mut self) {
        self.semaphore = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(semaphore) = &self.semaphore {
            // Of a bounded one, somebody else may have released what was ours.
            let _ = semaphore.try_release();
        }
    }
}

/// A permit was released that nobody can have had: see [`BoundedSemaphore::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverReleased;

impl fmt::Display for OverReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more permits were released than the semaphore began with")
    }
}
impl std::error::Error for OverReleased {}

/// A fair [`Semaphore`] that never has more permits than it began with: threading's, gevent's and
/// eventlet's `BoundedSemaphore`, where this is a `ValueError`.
///
/// ```
/// use oneloop_sync::{BoundedSemaphore, OverReleased};
/// let semaphore = BoundedSemaphore::new(1);
/// semaphore.try_acquire().unwrap().forget();
/// assert_eq!(semaphore.release(), Ok(()));
/// assert_eq!(semaphore.release(), Err(OverReleased));
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

impl BoundedSemaphore {
    /// A fair one with that many permits.
    pub fn new(permits: usize) -> Self {
        BoundedSemaphore {
            semaphore: Semaphore::with(permits, false, Some(permits)),
        }
    }

    /// As [`Semaphore::acquire`].
    pub fn acquire(&self) -> Acquire {
        self.semaphore.acquire()
    }

    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Option<Permit> {
        self.semaphore.try_acquire()
    }

    /// As [`Semaphore::release`].
    ///
    /// # Errors
    /// [`OverReleased`], and nothing changes, when there are as many as it began with.
    pub fn release(&self) -> Result<(), OverReleased> {
        self.semaphore.try_release()
    }

    /// As [`Semaphore::available`].
    pub fn available(&self) -> usize {
        self.semaphore.available()
    }

    /// As [`Semaphore::waiting`].
    pub fn waiting(&self) -> usize {
        self.semaphore.waiting()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bounded{:?}", self.semaphore)
    }
}

/// A semaphore with a floor and a ceiling, and waiting at both: eventlet's `CappedSemaphore`.
///
/// It is a [`Queue::handing_over`] of units: to acquire is to get one, to release is to put one.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::CappedSemaphore;
/// let semaphore = CappedSemaphore::new(0, 1);
/// let mut event_loop = EventLoop::new()?;
/// event_loop.block_on(semaphore.release()); // a second one would wait
/// event_loop.block_on(semaphore.acquire());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct CappedSemaphore {
    units: Queue<()>,
}

impl CappedSemaphore {
    /// One that has `permits`, and never more than `limit`. With a limit of 0 each release waits for
    /// an acquire.
    ///
    /// # Panics
    /// When `permits` are more than `limit`.
    pub fn new(permits: usize, limit: usize) -> Self {
        let units = Queue::handing_over(limit).fair();
        for _ in 0..permits {
            let room = units.try_put(());
            room.expect("a capped semaphore begins within its limit");
        }
        CappedSemaphore { units }
    }

    /// Waits for a permit, which comes back by [`CappedSemaphore::release`] only. Cancel safe.
    pub fn acquire(&self) -> Get<()> {
        self.units.get()
    }

    /// Takes a permit, if there is one and nobody waits for it.
    pub fn try_acquire(&self) -> bool {
        self.units.try_get().is_some()
    }

    /// Waits until there is room below the limit, and releases. Cancel safe.
    pub fn release(&self) -> Put<()> {
        self.units.put(())
    }

    /// Releases, if there is room and nobody waits for it.
    pub fn try_release(&self) -> bool {
        self.units.try_put(()).is_ok()
    }

    /// How many permits could be acquired without waiting. Those of who waits to release are among them.
    pub fn available(&self) -> usize {
        self.units.free().0
    }

    /// How many permits could be released without waiting.
    pub fn room(&self) -> usize {
        self.units.free().1
    }
}

impl fmt::Debug for CappedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CappedSemaphore").field(&self.units).finish()
    }
}
