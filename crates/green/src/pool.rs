//! Pools: groups with a limit on the green threads that run at once.

use crate::group::Group;
use crate::imap::{GroupMapping, value_of};
use crate::join_handle::JoinHandle;
use crate::spawn::Builder;
use crate::thread::current;
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle, JoinError};
use oneloop_sync::Semaphore;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Duration;

/// The pool has no permit for another green thread: see [`Pool::try_spawn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is full")
    }
}
impl std::error::Error for PoolFull {}

/// A group with a limit on the green threads that run at once: `Pool` of gevent, `GreenPool` of
/// eventlet. Each member holds a permit; a thread that spawns into a full pool waits for one.
/// Clones are the same pool. [`GroupMapping`] has `map`, `imap` and `imap_unordered`.
///
/// A released permit goes to the thread that asks first, as in gevent, which may come later than
/// one that waits; with [`Pool::fair`] it goes to the waiter in front, as in eventlet.
///
/// If all members of a full pool spawn into it, they wait for each other: gevent's nested deadlock.
/// [`Pool::spawn_or_inline`] avoids it as eventlet does.
///
/// ```
/// use oneloop::green::{run, sleep, GroupMapping, Pool};
/// use std::time::Duration;
/// let lengths = run(|| {
///     let pool = Pool::new(2);
///     let words = ["one", "two", "three"].map(String::from);
///     pool.imap(words, |word| {
///         sleep(Duration::from_millis(1));
///         word.len()
///     })
///     .collect::<Vec<_>>()
/// })?;
/// assert_eq!(lengths, [3, 3, 5]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("GreenPool", "ThreadPoolExecutor"))]
pub struct Pool {
    group: Group,
    permits: Semaphore,
    /// The number of permits.
    size: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} threads)", self.running(), self.size)
    }
}

impl Pool {
    /// A pool with `size` permits.
    ///
    /// # Panics
    /// For a size of zero: every spawn would wait forever.
    #[track_caller]
    pub fn new(size: usize) -> Self {
        Pool::with(size, Semaphore::barging)
    }

    /// A pool with `size` permits, as eventlet's: waiters come before later callers.
    ///
    /// # Panics
    /// As [`Pool::new`].
    #[track_caller]
    pub fn fair(size: usize) -> Self {
        Pool::with(size, Semaphore::new)
    }

    #[track_caller]
    fn with(size: usize, permits: impl FnOnce(usize) -> Semaphore) -> Self {
        assert!(size > 0, "a pool needs at least one permit");
        Pool {
            group: Group::new(),
            permits: permits(size),
            size,
        }
    }

    /// Starts a green thread once there is a permit.
    ///
    /// # Panics
    /// Outside of a green thread, and as [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        let spawned = self.spawn_at(function, Location::caller());
        spawned.unwrap_or_else(no_memory)
    }

    /// Starts a green thread if there is a permit now.
    ///
    /// # Errors
    /// [`PoolFull`]; the function is dropped.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn try_spawn<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
    ) -> Result<JoinHandle<T>, PoolFull> {
        // gevent's `start(greenlet, blocking=False)`, which raises PoolFull.
        self.permits.try_acquire().ok_or(PoolFull)?.forget();
        Ok(self.start(function, Location::caller()))
    }

    /// Starts a green thread once there is a permit, for which it waits `duration` at most.
    ///
    /// # Errors
    /// [`PoolFull`]; the function is dropped.
    ///
    /// # Panics
    /// As [`Pool::spawn`].
    #[track_caller]
    pub fn spawn_timeout<T: 'static>(
        &self,
        duration: Duration,
        function: impl FnOnce() -> T + 'static,
    ) -> Result<JoinHandle<T>, PoolFull> {
        let at = Location::caller();
        let permit = Handle::current().timeout(duration, self.permits.acquire());
        // Forgotten, as the permit outlives this call: the thread's link releases it.
        wait_at(permit, at).map_err(|Elapsed| PoolFull)?.forget();
        Ok(self.start(function, at))
    }

    /// As [`Pool::spawn`], but if the pool is full and a member calls this, the function runs at
    /// once in the caller: `GreenPool.spawn` of eventlet, which avoids the nested deadlock this
    /// way.
    ///
    /// # Panics
    /// As [`Pool::spawn`], and when a function that runs in the caller does.
    #[track_caller]
    pub fn spawn_or_inline<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
    ) -> Spawned<T> {
        // Only for a member: any other caller can wait, as no member waits for it.
        if self.free() == 0 && self.group.contains(&current()) {
            return Spawned::Inline(function());
        }
        Spawned::Thread(self.spawn(function))
    }

    fn start<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> JoinHandle<T> {
        self.try_start(function, at).unwrap_or_else(no_memory)
    }

    /// Starts a green thread with a permit that the caller has acquired for it. Without memory for
    /// a stack, the permit is released.
    fn try_start<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        let spawned = Builder::new()
            .spawn_at(function, at)
            .inspect_err(|_| self.permits.release())?;
        // Released when the thread has left the group, so that `running` never exceeds the size.
        let permits = self.permits.clone();
        self.group.add_then(&spawned, move || permits.release());
        Ok(spawned)
    }

    /// As [`Pool::spawn`], but a lack of memory is an error.
    pub(crate) fn spawn_at<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        wait_at(self.permits.acquire(), at).forget();
        self.try_start(function, at)
    }

    /// Waits until there is a permit, and does not keep it: `wait_available` of gevent.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait_for_permit(&self) {
        drop(wait_at(self.permits.acquire(), Location::caller()));
    }

    /// The number of members, which have not ended.
    #[doc(alias = "free_count")]
    pub fn running(&self) -> usize {
        self.group.len()
    }

    /// The number of permits that are free.
    #[doc(alias = "free_count")]
    pub fn free(&self) -> usize {
        self.permits.available()
    }

    /// The number of waiters for a permit.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// The number of members that the pool can have at once.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The members as a group, to join, kill or list them.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Waits until all members have ended: see [`Group::join`]. `GreenPool.waitall` of eventlet.
    ///
    /// # Panics
    /// Outside of a green thread, and in a member of the pool, which would wait for itself
    /// (eventlet asserts the same).
    #[track_caller]
    pub fn join(&self) {
        let is_member = self.group.contains(&current());
        assert!(
            // Waiting for the group would then never end, even without another member.
            !is_member,
            "a member of a pool cannot wait for the pool's end"
        );
        self.group.join();
    }

    /// Kills all members and waits until they have ended: see [`Group::kill`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn kill(&self) {
        self.group.kill();
    }
}

impl GroupMapping for Pool {
    #[track_caller]
    fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        Pool::spawn(self, function)
    }
}

#[track_caller]
fn no_memory<T>(error: io::Error) -> T {
    panic!("no memory for another green stack: {error}")
}

/// What [`Pool::spawn_or_inline`] did.
#[derive(Debug)]
pub enum Spawned<T> {
    /// It started a green thread.
    Thread(JoinHandle<T>),
    /// It called the function in the caller, and this is the result.
    Inline(T),
}

impl<T: 'static> Spawned<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        match self {
            Spawned::Thread(thread) => thread.join(),
            Spawned::Inline(value) => Ok(value),
        }
    }
}

/// Results of green threads in the order in which they were spawned: eventlet's `GreenPile`.
///
/// ```
/// use oneloop::green::{run, Pile, Pool};
/// let results = run(|| {
///     let pile = Pile::new(&Pool::new(10));
///     for n in 1..=3 {
///         pile.spawn(move || n * n);
///     }
///     pile.collect::<Vec<_>>()
/// })?;
/// assert_eq!(results, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "GreenPile")]
pub struct Pile<T> {
    pool: Pool,
    // The order in which `next` returns the results, whichever call ends first.
    calls: RefCell<VecDeque<JoinHandle<T>>>,
}

impl<T: 'static> Pile<T> {
    /// A pile whose green threads run in the pool, which other code may use as well.
    pub fn new(pool: &Pool) -> Self {
        Pile {
            pool: pool.clone(),
            calls: RefCell::default(),
        }
    }

    /// Starts a green thread once the pool has a permit: see [`Pool::spawn`].
    ///
    /// # Panics
    /// As [`Pool::spawn`].
    #[track_caller]
    pub fn spawn(&self, function: impl FnOnce() -> T + 'static) {
        let call = self.pool.spawn(function);
        self.calls.borrow_mut().push_back(call);
    }
}

impl<T: 'static> Iterator for Pile<T> {
    type Item = T;

    /// Waits for the result of the thread that was spawned first among those not yet read.
    ///
    /// # Panics
    /// Outside of a green thread, and when that thread did.
    fn next(&mut self) -> Option<T> {
        let call = self.calls.borrow_mut().pop_front()?;
        Some(value_of(call.join()))
    }
}
