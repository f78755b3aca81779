//! Permits, which limit the number of tasks that do something at a time.

use crate::queue::{Get, Put, Queue};
use crate::turnstile::Turnstile;
use crate::waiters::{SharedState, Ticket};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

struct SemaphoreState {
    permits: Turnstile,
    /// A task without a ticket may take a permit for which a waiter was woken.
    barging: bool,
    /// The maximum number of permits.
    bound: Option<usize>,
}

/// A number of permits. A task that finds none left waits; first come, first served.
///
/// [`Semaphore::new`] is fair, as eventlet's is: a released permit goes to the first waiter in
/// line. [`Semaphore::barging`] is gevent's: a released permit goes to the first task that takes
/// it.
///
/// ```
/// use oneloop::core::yield_now;
/// use oneloop::EventLoop;
/// use oneloop::sync::Semaphore;
/// let mut event_loop = EventLoop::new()?;
/// let one_at_a_time = Semaphore::new(1);
/// for name in ["a", "b"] {
///     let semaphore = one_at_a_time.clone();
///     event_loop.handle().spawn(async move {
///         let _permit = semaphore.acquire().await;
///         println!("{name} begins");
///         yield_now().await;
///         println!("{name} ends"); // before the other task begins
///     });
/// }
/// event_loop.run()?;
/// assert_eq!(one_at_a_time.available(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    state: SharedState<SemaphoreState>,
}

impl Semaphore {
    /// Creates a fair semaphore: a released permit goes to the first waiter in line, and a task
    /// that comes later waits behind it.
    pub fn new(permits: usize) -> Self {
        Semaphore::with(permits, false, None)
    }

    /// Creates a semaphore that works like gevent's: the running task may take a released permit
    /// before the waiter that was woken for it. That waiter keeps its place in line. This switches
    /// tasks less often, but a waiter may starve.
    pub fn barging(permits: usize) -> Self {
        Semaphore::with(permits, true, None)
    }

    fn with(permits: usize, barging: bool, bound: Option<usize>) -> Self {
        Semaphore {
            state: SharedState::new(SemaphoreState {
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
            overtakes: true,
        }
    }

    /// Waits for a permit behind the waiters in line, even in a [`Semaphore::barging`] one. Cancel
    /// safe.
    ///
    /// ```
    /// use oneloop::sync::Semaphore;
    /// use oneloop::{EventLoop, Handle};
    /// let mut event_loop = EventLoop::new()?;
    /// let semaphore = Semaphore::barging(1);
    /// event_loop.block_on(async {
    ///     let permit = semaphore.acquire().await;
    ///     let waiter = semaphore.acquire_in_line();
    ///     let waiter = Handle::current().spawn(async { drop(waiter.await) });
    ///     drop(permit);
    ///     waiter.await.unwrap();
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn acquire_in_line(&self) -> Acquire {
        Acquire {
            semaphore: self.clone(),
            ticket: None,
            overtakes: false,
        }
    }

    /// Takes a permit, if one is available: see [`Semaphore::available`].
    pub fn try_acquire(&self) -> Option<Permit> {
        let taken = self.state.change(|state, effects| {
            let may_pass = state.may_pass(None, true);
            if may_pass {
                state.permits.pass(&mut None, effects);
            }
            may_pass
        });
        taken.then(|| Permit::new(self))
    }

    /// Adds one permit: it replaces one that [`Permit::forget`] kept, or raises the limit.
    ///
    /// # Panics
    /// If there are `usize::MAX` permits.
    #[doc(alias = "add_permits")]
    pub fn release(&self) {
        let released = self.try_release();
        debug_assert!(released.is_ok(), "a semaphore has no bound");
    }

    fn try_release(&self) -> Result<(), OverReleased> {
        self.state.change(|state, effects| {
            if state.bound == Some(state.permits.available()) {
                return Err(OverReleased);
            }
            state.permits.add(effects);
            Ok(())
        })
    }

    /// Returns how many permits a task that comes now could take. In a fair semaphore, this
    /// excludes the permits for tasks in line.
    #[doc(alias = "available_permits")]
    pub fn available(&self) -> usize {
        self.state.look(|state| match state.barging {
            true => state.permits.available(),
            false => state.permits.free(),
        })
    }

    /// Returns the number of waiters for which there is no permit.
    pub fn waiting(&self) -> usize {
        self.state.look(|state| state.permits.waiting())
    }
}

impl SemaphoreState {
    fn may_pass(&self, ticket: Option<Ticket<()>>, overtakes: bool) -> bool {
        // Only a task without a ticket barges. One in line waits for its admission, or it would
        // overtake the waiters before it.
        let may_barge = self.barging && overtakes && ticket.is_none();
        let barges = may_barge && self.permits.available() > 0;
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

/// The future of [`Semaphore::acquire`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    semaphore: Semaphore,
    ticket: Option<Ticket<()>>,
    /// In a barging semaphore, it may take a permit before the waiters in line.
    overtakes: bool,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let Self {
            semaphore,
            ticket,
            overtakes,
        } = self.get_mut();
        let passed = semaphore.state.poll(cx, |state, waker, effects| {
            if state.may_pass(*ticket, *overtakes) {
                state.permits.pass(ticket, effects);
                return Poll::Ready(());
            }
            if let Some(waker) = waker.take() {
                state.permits.line.wait(ticket, waker, || (), effects);
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
            state.change(|state, effects| state.permits.give_up(ticket, effects));
        }
    }
}

/// A permit of a semaphore; its drop releases it.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once is released at once"]
#[doc(alias = "SemaphorePermit")]
pub struct Permit {
    /// `None` once it was forgotten.
    semaphore: Option<Semaphore>,
}

impl Permit {
    fn new(semaphore: &Semaphore) -> Self {
        Permit {
            semaphore: Some(semaphore.clone()),
        }
    }

    /// Drops the permit without releasing it. Call `release` on the semaphore to do so later, as in
    /// Python.
    pub fn forget(mut self) {
        self.semaphore = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(semaphore) = &self.semaphore {
            // Fails if a bounded semaphore was released once too often: that call has released this
            // permit already.
            let _ = semaphore.try_release();
        }
    }
}

/// The error of [`BoundedSemaphore::release`]: no task holds a permit. Python raises `ValueError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverReleased;

impl fmt::Display for OverReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more permits were released than the semaphore began with")
    }
}
impl std::error::Error for OverReleased {}

/// A fair [`Semaphore`] that never has more permits than it began with: the `BoundedSemaphore` of
/// Python's `threading`, gevent and eventlet.
///
/// ```
/// use oneloop::sync::{BoundedSemaphore, OverReleased};
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
    /// Creates a fair semaphore with `permits` permits, which is also their maximum number.
    pub fn new(permits: usize) -> Self {
        BoundedSemaphore {
            semaphore: Semaphore::with(permits, false, Some(permits)),
        }
    }

    /// As [`Semaphore::acquire`]. Cancel safe.
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
    /// [`OverReleased`] if no permit is out: there are as many as at the start. Nothing changes
    /// then.
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

/// A semaphore that waits at both ends: to acquire when no permit is left, and to release when the
/// limit is reached. This is eventlet's `CappedSemaphore`.
///
/// It is a [`Queue::handing_over`] of units: `acquire` gets one, and `release` puts one.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::CappedSemaphore;
/// let semaphore = CappedSemaphore::new(0, 1);
/// let mut event_loop = EventLoop::new()?;
/// event_loop.block_on(semaphore.release()); // a second release would wait
/// event_loop.block_on(semaphore.acquire());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct CappedSemaphore {
    units: Queue<()>,
}

impl CappedSemaphore {
    /// Creates a semaphore with `permits` permits, and never more than `limit`. With a limit of 0,
    /// each release waits for an acquire.
    ///
    /// # Panics
    /// If `permits` is more than `limit`.
    pub fn new(permits: usize, limit: usize) -> Self {
        let units = Queue::handing_over(limit).fair();
        for _ in 0..permits {
            let room = units.try_put(());
            room.expect("a capped semaphore begins within its limit");
        }
        CappedSemaphore { units }
    }

    /// Waits for a permit. Only [`CappedSemaphore::release`] returns it. Cancel safe.
    pub fn acquire(&self) -> Get<()> {
        self.units.get()
    }

    /// Takes a permit, if there is one that no task waits for.
    pub fn try_acquire(&self) -> bool {
        self.units.try_get().is_some()
    }

    /// Waits until there is room below the limit, and releases a permit. Cancel safe.
    pub fn release(&self) -> Put<()> {
        self.units.put(())
    }

    /// Releases a permit, if there is room that no task waits for.
    pub fn try_release(&self) -> bool {
        self.units.try_put(()).is_ok()
    }

    /// Returns how many permits could be acquired without waiting, including those of tasks that
    /// wait to release.
    pub fn available(&self) -> usize {
        self.units.free().0
    }

    /// Returns how many permits could be released without waiting.
    pub fn room(&self) -> usize {
        self.units.free().1
    }
}

impl fmt::Debug for CappedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CappedSemaphore").field(&self.units).finish()
    }
}
