//! Many green threads together: groups, pools that let so many run at once, maps over them.

use crate::thread::{Builder, JoinHandle, NO_STACK, Thread, current};
use crate::unwind::resume_unwind;
use crate::wait::{Wait, wait_at};
use oneloop_core::{Elapsed, Handle, JoinError};
use oneloop_sync::{Event, Receiver, Semaphore, Sender, channel};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Green threads that can be joined or killed together: gevent's `Group`. Clones name the same group.
///
/// ```
/// use oneloop_green::{run, Group};
/// let squares = run(|| Group::new().map(1..=3, |n| n * n))?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Group {
    members: Rc<Members>,
}

/// Who is in a group; each leaves when it ends.
struct Members {
    threads: RefCell<BTreeMap<u64, Thread>>,
    next: Cell<u64>,
    empty: Event,
}

impl Default for Members {
    fn default() -> Self {
        let empty = Event::new();
        empty.set();
        Members {
            threads: RefCell::default(),
            next: Cell::new(0),
            empty,
        }
    }
}

impl Members {
    fn add(self: &Rc<Self>, thread: &Thread, at_end: impl FnOnce() + 'static) {
        if thread.is_finished() {
            return;
        }
        let number = self.next.replace(self.next.get() + 1);
        self.threads.borrow_mut().insert(number, thread.clone());
        self.empty.clear();
        let members = Rc::clone(self);
        thread.on_exit(move |_| {
            members.remove(number);
            at_end();
        });
    }

    fn remove(&self, number: u64) {
        let gone = self.threads.borrow_mut().remove(&number);
        if self.threads.borrow().is_empty() {
            self.empty.set();
        }
        drop(gone);
    }

    fn has(&self, thread: &Thread) -> bool {
        self.threads
            .borrow()
            .values()
            .any(|member| member == thread)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({} threads)", self.len())
    }
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Group::default()
    }

    /// Starts a green thread in the group: see [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        let spawned = crate::spawn(function);
        self.add(&spawned);
        spawned
    }

    /// Takes a green thread in until it ends.
    pub fn add(&self, thread: &Thread) {
        self.members.add(thread, || ());
    }

    /// Lets a green thread go on outside of the group; true if it was in.
    pub fn discard(&self, thread: &Thread) -> bool {
        let threads = self.members.threads.borrow();
        let found = threads.iter().find(|(_, member)| *member == thread);
        let number = found.map(|(number, _)| *number);
        drop(threads);
        number
            .inspect(|number| self.members.remove(*number))
            .is_some()
    }

    /// True if the green thread is in the group, and so has not ended.
    pub fn contains(&self, thread: &Thread) -> bool {
        self.members.has(thread)
    }

    /// How many have not ended.
    pub fn len(&self) -> usize {
        self.members.threads.borrow().len()
    }

    /// True if all have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members, in the order in which they came.
    pub fn threads(&self) -> Vec<Thread> {
        self.members.threads.borrow().values().cloned().collect()
    }

    /// Waits until the group is empty.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join(&self) {
        wait_at(self.members.empty.until_set(), Location::caller());
    }

    /// Waits until the group is empty, but not longer than that.
    ///
    /// # Errors
    /// [`Elapsed`] if somebody is left.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join_timeout(&self, duration: Duration) -> Result<(), Elapsed> {
        let empty = self.members.empty.until_set();
        wait_at(
            Handle::current().timeout(duration, empty),
            Location::caller(),
        )
    }

    /// Kills all members, in the order in which they came, and waits until they have ended. Who is
    /// spawned into the group meanwhile is killed, too.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn kill(&self) {
        let at = Location::caller();
        while !self.is_empty() {
            self.kill_soon();
            for thread in self.threads() {
                wait_at(thread.finished(), at);
            }
            // Who has ended leaves the group behind what is ready.
            wait_at(oneloop_core::yield_now(), at);
        }
    }

    /// Kills one member, and waits until it has ended and left the group: `killone` of gevent. Nothing
    /// happens to who is no member.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn kill_one(&self, thread: &Thread) {
        if self.contains(thread) {
            thread.kill_soon();
            wait_at(thread.finished(), Location::caller());
        }
    }

    /// Kills all members without waiting for their end.
    pub fn kill_soon(&self) {
        for thread in self.threads() {
            thread.kill_soon();
        }
    }

    /// Calls the function with each item on a green thread of its own, and gives the results in the
    /// order of the items.
    ///
    /// # Panics
    /// Outside of a green thread, and when a call does: with what the first of them, in the order of
    /// the items, panicked with, once the calls before it have ended.
    #[track_caller]
    pub fn map<A: 'static, T: 'static>(
        &self,
        items: impl IntoIterator<Item = A>,
        function: impl Fn(A) -> T + 'static,
    ) -> Vec<T> {
        let items: Vec<A> = items.into_iter().collect();
        self.imap(items, function).collect()
    }

    /// Calls the function with each item on a green thread of its own, which another green thread spawns,
    /// and gives the results one by one in the order of the items. A call that panicked panics here, and
    /// the ones behind it go on.
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
        let group = self.clone();
        let start = move |call: Call<T>| group.spawn(call);
        let at = Location::caller();
        Imap::start(items.into_iter(), function, start, Order::OfItems, at)
    }

    /// Like [`Group::imap`], in the order in which the calls end.
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
        let group = self.clone();
        let start = move |call: Call<T>| group.spawn(call);
        let at = Location::caller();
        Imap::start(items.into_iter(), function, start, Order::OfEnds, at)
    }
}

/// The value, or the panic that took its place, which goes on here.
pub(crate) fn value_of<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => panic!("a call has no result: {error}"),
    }
}

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
        let at = Location::caller();
        wait_at(self.places.acquire(), at).forget();
        self.start(function, at)
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
        let spawned = Builder::new().spawn_at(function, at);
        let spawned = spawned.unwrap_or_else(|error| {
            self.places.release();
            panic!("no memory for another green stack: {error}")
        });
        let places = self.places.clone();
        self.group.members.add(&spawned, move || places.release());
        spawned
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

/// The results of [`Pool::imap`] and [`Pool::imap_unordered`]. Dropped, it asks for no more items; the
/// calls that have begun go on.
#[derive(Debug)]
#[must_use = "the results are in here"]
pub struct Imap<T> {
    calls: Receiver<(usize, JoinHandle<T>)>,
    order: Order,
    /// Calls that have ended before their turn.
    early: BTreeMap<usize, JoinHandle<T>>,
    next: usize,
    /// In eventlet's, for those that run or wait to be taken, and the one that waits for a place.
    room: Option<Semaphore>,
    feeder: Option<JoinHandle<()>>,
}

/// How results come back to an [`Imap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OfItems,
    OfEnds,
    /// Of the items, and no more results are kept than that.
    Bounded(usize),
}

/// What an [`Imap`] spawns.
type Call<T> = Box<dyn FnOnce() -> T>;

impl<T: 'static> Imap<T> {
    fn start<A: 'static>(
        mut items: impl Iterator<Item = A> + 'static,
        function: impl Fn(A) -> T + 'static,
        start: impl Fn(Call<T>) -> JoinHandle<T> + 'static,
        order: Order,
        at: &'static Location<'static>,
    ) -> Self {
        let (into, calls) = channel(None);
        let room = match order {
            Order::Bounded(results) => Some(Semaphore::new(results + 1)),
            Order::OfItems | Order::OfEnds => None,
        };
        let (rooms, function) = (room.clone(), Rc::new(function));
        let feed = move || {
            for number in 0.. {
                if let Some(rooms) = &rooms {
                    rooms.acquire().wait().forget();
                }
                let Some(item) = items.next() else { return };
                let function = Rc::clone(&function);
                let call = start(Box::new(move || function(item)));
                match order {
                    Order::Bounded(_) => deliver(&into, number, call),
                    Order::OfItems | Order::OfEnds => deliver_at_end(into.clone(), number, call),
                }
            }
        };
        Imap {
            calls,
            order,
            early: BTreeMap::new(),
            next: 0,
            room,
            feeder: Some(Builder::new().spawn_at(feed, at).expect(NO_STACK)),
        }
    }
}

/// Whoever has lost interest in the results gets none.
fn deliver<T>(into: &Sender<(usize, JoinHandle<T>)>, number: usize, call: JoinHandle<T>) {
    let _ = into.try_send((number, call));
}

fn deliver_at_end<T: 'static>(
    into: Sender<(usize, JoinHandle<T>)>,
    number: usize,
    call: JoinHandle<T>,
) {
    let thread = call.thread().clone();
    thread.on_exit(move |_| deliver(&into, number, call));
}

impl<T> Imap<T> {
    /// The call whose turn it is.
    fn next_call(&mut self, at: &'static Location<'static>) -> Option<JoinHandle<T>> {
        if self.order == Order::OfEnds {
            return Some(wait_at(self.calls.receive(), at)?.1);
        }
        let number = self.next;
        self.next += 1;
        while !self.early.contains_key(&number) {
            let (number, call) = wait_at(self.calls.receive(), at)?;
            self.early.insert(number, call);
        }
        self.early.remove(&number)
    }
}

impl<T: 'static> Iterator for Imap<T> {
    type Item = T;

    /// Waits for the next result.
    ///
    /// # Panics
    /// Outside of a green thread, and when the call, or the iterator of the items, did.
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        if let Some(call) = self.next_call(Location::caller()) {
            let result = call.join();
            if let Some(room) = &self.room {
                room.release();
            }
            return Some(value_of(result));
        }
        value_of(self.feeder.take()?.join());
        None
    }
}

impl<T> Drop for Imap<T> {
    fn drop(&mut self) {
        if let Some(feeder) = &self.feeder {
            feeder.kill_soon();
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
