//! Pools: groups with a limit on the green threads that run at once.

use crate::group::Group;
use crate::imap::GroupMapping;
use crate::join_handle::JoinHandle;
use crate::permits::{PermitOrTurn, Permits, UntilQueued};
use crate::spawn::Builder;
use crate::thread::try_current;
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle, JoinError};
use oneloop_sync::{Acquire, Permit, Semaphore};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// The pool has no permit for another green thread ([`Pool::try_spawn`]), or no place left in its
/// queue ([`Pool::try_submit`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is full")
    }
}
impl std::error::Error for PoolFull {}

/// A group with a limit on the green threads that run at once: `Pool` of gevent, `GreenPool` of
/// eventlet. Each running member holds a permit. Clones are the same pool. [`GroupMapping`] has
/// `map`, `imap` and `imap_unordered`.
///
/// If the pool is full, [`Pool::spawn`] waits for a permit, and [`Pool::submit`] queues its
/// function. `submit` never waits, so callbacks, async tasks and green threads can call it.
///
/// A released permit goes to the thread that asks first, as in gevent, which may come later than
/// one that waits; with [`Pool::fair`] it goes to the waiter in front, as in eventlet.
///
/// If all members of a full pool spawn into it, they wait for each other: gevent's nested deadlock.
/// [`Pool::spawn_or_inline`] avoids it as eventlet does, and [`Pool::submit`] without a wait.
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
    /// The members: those that run, and those that are queued.
    group: Group,
    permits: Rc<Permits>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, size) = (self.running(), self.size());
        write!(
            f,
            "Pool({running} of {size} threads, {} queued)",
            self.queued()
        )
    }
}

/// Making a pool.
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
    fn with(size: usize, semaphore: impl FnOnce(usize) -> Semaphore) -> Self {
        assert!(size > 0, "a pool needs at least one permit");
        Pool {
            group: Group::new(),
            permits: Permits::new(size, semaphore(size)),
        }
    }

    /// Changes the number of permits: `GreenPool.resize` of eventlet. More permits begin waiters at
    /// once. If more members run than the new size allows, they continue, and no other one begins
    /// until enough of them have ended.
    ///
    /// # Panics
    /// As [`Pool::new`].
    #[track_caller]
    pub fn resize(&self, size: usize) {
        assert!(size > 0, "a pool needs at least one permit");
        self.permits.resize(size);
    }
}

/// Starting threads.
impl Pool {
    /// Starts a green thread once there is a permit. With a free permit it does not wait, and works
    /// outside of a green thread as well.
    ///
    /// # Panics
    /// In a full pool outside of a green thread, where [`Pool::submit`] queues; and as
    /// [`spawn`](crate::spawn).
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
        let permit = self.permits.semaphore.try_acquire().ok_or(PoolFull)?;
        Ok(self.start(permit, function, Location::caller()))
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
        let waits = |acquire| wait_at(Handle::current().timeout(duration, acquire), at);
        let permit = self.permit(|acquire| waits(acquire).map_err(|Elapsed| PoolFull))?;
        Ok(self.start(permit, function, at))
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
        if self.free() == 0 && self.is_member() {
            return Spawned::Inline(function());
        }
        Spawned::Thread(self.spawn(function))
    }

    /// Starts a green thread, or queues its function until there is a permit. It never waits, so it
    /// works in callbacks, in async tasks and in green threads: `apply_async` of gevent's pools.
    ///
    /// Functions begin in the order of their submission; each gets its stack only then. The length
    /// of the queue is not limited; [`Pool::try_submit`] refuses a function if it is long, and
    /// [`Pool::until_queued`] waits for a short one. A queued function is a member of the pool.
    /// [`Pool::join`] waits for it. [`Pool::kill`], [`Thread::kill_soon`](crate::Thread::kill_soon)
    /// and [`Thread::cancel`](crate::Thread::cancel) remove it from the queue, so that it never
    /// begins. It runs even if all handles and the pool itself are dropped.
    ///
    /// ```
    /// use oneloop::aio;
    /// use oneloop::green::{Pool, sleep};
    /// use std::time::Duration;
    /// let total = aio::block_on(async {
    ///     let pool = Pool::new(2);
    ///     let jobs = [1, 2, 3].map(|n| {
    ///         pool.submit(move || {
    ///             sleep(Duration::from_millis(1));
    ///             n
    ///         })
    ///     });
    ///     assert_eq!((pool.running(), pool.queued()), (2, 1));
    ///     let mut total = 0;
    ///     for job in jobs {
    ///         total += job.await.unwrap(); // in a green thread: job.join()
    ///     }
    ///     total
    /// });
    /// assert_eq!(total, 6);
    /// ```
    ///
    /// If there is no memory for a stack when a queued function should begin, the handle returns
    /// [`JoinError::Panicked`].
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    #[doc(alias = "apply_async")]
    #[track_caller]
    pub fn submit<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        let submitted = self.try_submit(usize::MAX, function);
        submitted.expect("a queue is shorter than the address space")
    }

    /// Submits a function as [`Pool::submit`] does, if there is a permit, or if fewer than
    /// `queued_max` functions are queued.
    ///
    /// # Errors
    /// [`PoolFull`]; the function is dropped.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn try_submit<T: 'static>(
        &self,
        queued_max: usize,
        function: impl FnOnce() -> T + 'static,
    ) -> Result<JoinHandle<T>, PoolFull> {
        let at = Location::caller();
        let _loop = Handle::current(); // outside of a loop, it panics before it takes a place
        let turn = match self.permits.place(queued_max).ok_or(PoolFull)? {
            PermitOrTurn::Permit(permit) => return Ok(self.start(permit, function, at)),
            PermitOrTurn::Queued(turn) => turn,
        };
        let at_end = turn.at_end();
        let queued = Builder::new().queue_at(turn, function, at);
        self.group.add_then(&queued, at_end);
        Ok(queued)
    }

    #[track_caller]
    fn start<T: 'static>(
        &self,
        permit: Permit,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> JoinHandle<T> {
        self.try_start(permit, function, at)
            .unwrap_or_else(no_memory)
    }

    /// Starts a green thread with its permit. Without memory for a stack, the permit is released.
    #[track_caller]
    fn try_start<T: 'static>(
        &self,
        permit: Permit,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        permit.forget(); // not released by a drop, which ignores the surplus
        let spawned = Builder::new()
            .spawn_at(function, at)
            .inspect_err(|_| self.permits.release())?;
        // Released when the thread has left the group, so that `running` never exceeds the size.
        let permits = Rc::clone(&self.permits);
        self.group.add_then(&spawned, move || permits.release());
        Ok(spawned)
    }

    /// As [`Pool::spawn`], but a lack of memory is an error.
    #[track_caller]
    pub(crate) fn spawn_at<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        let permit = self.permit(|acquire| Ok::<_, Infallible>(wait_at(acquire, at)));
        let Ok(permit) = permit;
        self.try_start(permit, function, at)
    }

    /// A permit, for which `wait` waits if none is free.
    #[track_caller]
    fn permit<E>(&self, wait: impl FnOnce(Acquire) -> Result<Permit, E>) -> Result<Permit, E> {
        let semaphore = &self.permits.semaphore;
        if let Some(free) = semaphore.try_acquire() {
            return Ok(free);
        }
        assert!(
            try_current().is_some(),
            "the pool is full, and only a green thread can wait for a permit: \
             use oneloop::green::Pool::submit, which queues, or Pool::try_spawn"
        );
        wait(semaphore.acquire())
    }
}

/// Waiting, counting and ending.
impl Pool {
    /// Waits until there is a permit, and does not keep it: `wait_available` of gevent.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait_for_permit(&self) {
        drop(wait_at(
            self.permits.semaphore.acquire(),
            Location::caller(),
        ));
    }

    /// Waits until at most `queued_max` functions are queued, so that a program that submits faster
    /// than the pool works can pause. Cancel safe.
    ///
    /// ```
    /// use oneloop::green::{Pool, Wait, run, yield_now};
    /// run(|| {
    ///     let pool = Pool::new(2);
    ///     for _ in 0..100 {
    ///         pool.until_queued(10).wait();
    ///         pool.submit(yield_now);
    ///     }
    ///     assert!(pool.queued() <= 11);
    ///     pool.join();
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn until_queued(&self, queued_max: usize) -> UntilQueued {
        self.permits.until_queued(queued_max)
    }

    /// The number of members that run: they have begun, or are about to, and have not ended.
    pub fn running(&self) -> usize {
        // Saturating: a queued function that was discarded from the group has no permit, either.
        self.group
            .len()
            .saturating_sub(self.permits.without_permit())
    }

    /// The number of permits that are free.
    #[doc(alias = "free_count")]
    pub fn free(&self) -> usize {
        self.permits.semaphore.available()
    }

    /// The number of waiters for a permit: of green threads that wait, and of queued functions.
    pub fn waiting(&self) -> usize {
        self.permits.semaphore.waiting()
    }

    /// The number of functions that [`Pool::submit`] has queued and that have no permit yet.
    pub fn queued(&self) -> usize {
        self.permits.queued()
    }

    /// The number of members that can run at once.
    pub fn size(&self) -> usize {
        self.permits.size()
    }

    /// The members as a group, to join, kill or list them; queued functions are among them.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Waits until all members have ended, and nothing is queued: see [`Group::join`].
    /// `GreenPool.waitall` of eventlet. In other styles, await [`Group::until_empty`] of
    /// [`Pool::group`].
    ///
    /// # Panics
    /// Outside of a green thread, and in a member of the pool, which would wait for itself
    /// (eventlet asserts the same).
    #[track_caller]
    pub fn join(&self) {
        assert!(
            // Waiting for the group would then never end, even without another member.
            !self.is_member(),
            "a member of a pool cannot wait for the pool's end"
        );
        self.group.join();
    }

    /// Kills all members and waits until they have ended: see [`Group::kill`]. Queued functions
    /// never begin.
    ///
    /// # Panics
    /// Outside of a green thread: there, use [`Group::kill_soon`] of [`Pool::group`].
    #[track_caller]
    pub fn kill(&self) {
        self.group.kill();
    }

    /// True in a green thread that is a member.
    fn is_member(&self) -> bool {
        try_current().is_some_and(|current| self.group.contains(&current))
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
