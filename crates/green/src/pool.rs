//! Groups that let so many green threads be at once.

use crate::group::Group;
use crate::imap::{Call, Imap, Order, value_of};
use crate::thread::{Builder, JoinHandle, current};
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle, JoinError};
use oneloop_sync::Semaphore;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Duration;

/// There is no place in the pool: see [`Pool::try_spawn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is full")
    }
}
impl std::error::Error for PoolFull {}

/// A group that lets so many green threads be at once: `Pool` of gevent, `GreenPool` of eventlet. Who
/// spawns into a full one waits for a place. Clones name the same pool.
///
/// Places that come free are for whoever takes them first, as in gevent; with [`Pool::fair`], they go to
/// those who wait, first come first served, as in eventlet.
///
/// A member of a full pool that spawns into it waits for itself, if the others do the same: gevent's
/// nested deadlock. [`Pool::spawn_or_inline`] is eventlet's way out.
///
/// ```
/// use oneloop_green::{run, sleep, Pool};
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
pub struct Pool {
    group: Group,
    places: Semaphore,
    size: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} threads)", self.running(), self.size)
    }
}

impl Pool {
    /// A pool of that size.
    ///
    /// # Panics
    /// For a size of zero, into which nothing could ever be spawned.
    #[track_caller]
    pub fn new(size: usize) -> Self {
        Pool::with(size, Semaphore::barging)
    }

    /// A pool of that size, as eventlet's: who waits for a place has it before who comes.
    ///
    /// # Panics
    /// As [`Pool::new`].
    #[track_caller]
    pub fn fair(size: usize) -> Self {
        Pool::with(size, Semaphore::new)
    }

    #[track_caller]
    fn with(size: usize, places: impl FnOnce(usize) -> Semaphore) -> Self {
        assert!(size > 0, "a pool needs a place");
        Pool {
            group: Group::new(),
            places: places(size),
            size,
        }
    }

    /// Starts a green thread once there is a place.
    ///
    /// # Panics
    /// Outside of a green thread, and as [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        let spawned = self.spawn_at(function, Location::caller());
        spawned.unwrap_or_else(no_memory)
    }

    /// Starts a green thread if there is a place now.
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
        self.places.try_acquire().ok_or(PoolFull)?.forget();
        Ok(self.start(function, Location::caller()))
    }

    /// Starts a green thread once there is a place, but waits no longer than that for it.
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
        let place = Handle::current().timeout(duration, self.places.acquire());
        wait_at(place, at).map_err(|Elapsed| PoolFull)?.forget();
        Ok(self.start(function, at))
    }

    /// As [`Pool::spawn`]; but if the pool is full and a member calls this, the function runs at once,
    /// in its caller: `GreenPool.spawn` of eventlet, which so has no nested deadlock.
    ///
    /// # Panics
    /// As [`Pool::spawn`], and, where it runs in its caller, when the function does.
    #[track_caller]
    pub fn spawn_or_inline<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
    ) -> Spawned<T> {
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

    /// Starts a green thread in a place that was taken for it, and that comes free if there is no memory
    /// for a stack.
    fn try_start<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        let spawned = Builder::new()
            .spawn_at(function, at)
            .inspect_err(|_| self.places.release())?;
        let places = self.places.clone();
        self.group.add_then(&spawned, move || places.release());
        Ok(spawned)
    }

    /// As [`Pool::spawn`], where a lack of memory is an error.
    pub(crate) fn spawn_at<T: 'static>(
        &self,
        function: impl FnOnce() -> T + 'static,
        at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        wait_at(self.places.acquire(), at).forget();
        self.try_start(function, at)
    }

    /// Waits until a place is free, and leaves it free: `wait_available` of gevent.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait_for_place(&self) {
        drop(wait_at(self.places.acquire(), Location::caller()));
    }

    /// How many members have not ended.
    pub fn running(&self) -> usize {
        self.group.len()
    }

    /// How many places there are.
    pub fn free(&self) -> usize {
        self.places.available()
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.places.waiting()
    }

    /// How many members there can be at once.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The members as a group: to join them, kill them, look at them.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Waits until all members have ended: see [`Group::join`]. `GreenPool.waitall` of eventlet.
    ///
    /// # Panics
    /// Outside of a green thread, and in a member of the pool, which would wait for itself.
    #[track_caller]
    pub fn join(&self) {
        let is_member = self.group.contains(&current());
        assert!(
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

    /// Calls the function with each item, so many at once, and gives the results in the order of the
    /// items.
    ///
    /// # Panics
    /// As [`Group::map`].
    #[track_caller]
    pub fn map<A: 'static, T: 'static>(
        &self,
        items: impl IntoIterator<Item = A>,
        function: impl Fn(A) -> T + 'static,
    ) -> Vec<T> {
        let items: Vec<A> = items.into_iter().collect();
        self.imap(items, function).collect()
    }

    /// Calls the function with each item, so many at once, and gives the results one by one in the order
    /// of the items. Items are asked for as places come free, whether or not the results are taken:
    /// [`eventlet::imap`](crate::eventlet::imap) waits for that, too. A call that panicked panics here,
    /// and the ones behind it go on.
    #[track_caller]
    pub fn imap<A: 'static, T: 'static, I>(
        &self,
        items: I,
        function: impl Fn(A) -> T + 'static,
    ) -> Imap<T>
    where
        I: IntoIterator<Item = A>,
        I::IntoIter: 'static,
    {
        self.start_imap(
            items.into_iter(),
            function,
            Order::OfItems,
            Location::caller(),
        )
    }

    /// Like [`Pool::imap`], in the order in which the calls end.
    #[track_caller]
    pub fn imap_unordered<A: 'static, T: 'static, I>(
        &self,
        items: I,
        function: impl Fn(A) -> T + 'static,
    ) -> Imap<T>
    where
        I: IntoIterator<Item = A>,
        I::IntoIter: 'static,
    {
        self.start_imap(
            items.into_iter(),
            function,
            Order::OfEnds,
            Location::caller(),
        )
    }

    pub(crate) fn start_imap<A: 'static, T: 'static>(
        &self,
        items: impl Iterator<Item = A> + 'static,
        function: impl Fn(A) -> T + 'static,
        order: Order,
        at: &'static Location<'static>,
    ) -> Imap<T> {
        let pool = self.clone();
        let start = move |call: Call<T>| pool.spawn(call);
        Imap::start(items, function, start, order, at)
    }
}

#[track_caller]
fn no_memory<T>(error: io::Error) -> T {
    panic!("no memory for another green stack: {error}")
}

/// What became of [`Pool::spawn_or_inline`].
#[derive(Debug)]
pub enum Spawned<T> {
    /// It is a green thread.
    Thread(JoinHandle<T>),
    /// It ran in its caller, and returned this.
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

/// Results in the order of spawning, from as many green threads at once as the pool allows: eventlet's
/// `GreenPile`.
///
/// ```
/// use oneloop_green::{run, Pile, Pool};
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
pub struct Pile<T> {
    pool: Pool,
    calls: RefCell<VecDeque<JoinHandle<T>>>,
}

impl<T: 'static> Pile<T> {
    /// A pile on a pool, which others may use, too.
    pub fn new(pool: &Pool) -> Self {
        Pile {
            pool: pool.clone(),
            calls: RefCell::default(),
        }
    }

    /// Starts a green thread once the pool has a place: see [`Pool::spawn`].
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

    /// Waits for the result of the thread that was spawned first.
    ///
    /// # Panics
    /// Outside of a green thread, and when that thread did.
    fn next(&mut self) -> Option<T> {
        let call = self.calls.borrow_mut().pop_front()?;
        Some(value_of(call.join()))
    }
}
