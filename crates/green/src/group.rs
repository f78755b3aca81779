//! Green threads that can be joined or killed together.

use crate::imap::{Call, Imap, Order};
use crate::thread::{JoinHandle, Thread};
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle};
use oneloop_sync::Event;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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

    /// As [`Group::add`], with something to do when it has left.
    pub(crate) fn add_then(&self, thread: &Thread, at_end: impl FnOnce() + 'static) {
        self.members.add(thread, at_end);
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
        self.start_imap(
            items.into_iter(),
            function,
            Order::OfItems,
            Location::caller(),
        )
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
        self.start_imap(
            items.into_iter(),
            function,
            Order::OfEnds,
            Location::caller(),
        )
    }

    fn start_imap<A: 'static, T: 'static>(
        &self,
        items: impl Iterator<Item = A> + 'static,
        function: impl Fn(A) -> T + 'static,
        order: Order,
        at: &'static Location<'static>,
    ) -> Imap<T> {
        let group = self.clone();
        let start = move |call: Call<T>| group.spawn(call);
        Imap::start(items, function, start, order, at)
    }
}
