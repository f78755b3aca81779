//! Groups: green threads that can be joined or killed together.

use crate::imap::GroupMapping;
use crate::join_handle::JoinHandle;
use crate::record::Thread;
use crate::spawn::spawn;
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle};
use oneloop_sync::{Event, UntilSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Green threads that can be joined or killed together: gevent's `Group`. Clones are the same
/// group. [`GroupMapping`] has `map`, `imap` and `imap_unordered`.
///
/// ```
/// use oneloop::green::{Group, run, yield_now};
/// let lengths = run(|| {
///     let group = Group::new();
///     group.spawn(yield_now);
///     group.spawn(yield_now);
///     let before = group.len();
///     group.join();
///     [before, group.len()]
/// })?;
/// assert_eq!(lengths, [2, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
#[doc(alias("TaskGroup", "JoinSet", "nursery"))]
pub struct Group {
    members: Rc<Members>,
}

/// The members of a group; each leaves when it ends.
struct Members {
    /// By the number of their arrival: in this order they are listed and killed.
    threads: RefCell<BTreeMap<u64, Thread>>,
    next: Cell<u64>,
    /// Set while the group has no members.
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
        // Its link would run later, and the group would seem to have a member until then.
        if thread.is_finished() {
            return at_end();
        }
        let number = self.next.replace(self.next.get() + 1);
        self.threads.borrow_mut().insert(number, thread.clone());
        self.empty.clear();
        // A link, as in gevent: a member leaves the group behind what is ready when it ends.
        let leaving = Leaving {
            members: Rc::clone(self),
            number,
            at_end: Some(at_end),
        };
        thread.on_exit(move |_| drop(leaving));
    }

    fn remove(&self, number: u64) {
        let gone = self.threads.borrow_mut().remove(&number);
        if self.threads.borrow().is_empty() {
            self.empty.set();
        }
        drop(gone); // after the borrow: with it, a user's value may be dropped
    }

    fn has(&self, thread: &Thread) -> bool {
        self.threads
            .borrow()
            .values()
            .any(|member| member == thread)
    }
}

/// Its drop has a member leave the group: also if the loop is dropped, which calls no links.
struct Leaving<F: FnOnce()> {
    members: Rc<Members>,
    number: u64,
    /// `Some` until the drop.
    at_end: Option<F>,
}

impl<F: FnOnce()> Drop for Leaving<F> {
    fn drop(&mut self) {
        self.members.remove(self.number);
        if let Some(at_end) = self.at_end.take() {
            at_end();
        }
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
        let spawned = spawn(function);
        self.add(&spawned);
        spawned
    }

    /// Adds a green thread, which stays in the group until it ends.
    pub fn add(&self, thread: &Thread) {
        self.members.add(thread, || ());
    }

    /// As [`Group::add`]; calls `at_end` when the thread has left.
    pub(crate) fn add_then(&self, thread: &Thread, at_end: impl FnOnce() + 'static) {
        self.members.add(thread, at_end);
    }

    /// Removes a green thread, which continues outside of the group; true if it was a member.
    pub fn discard(&self, thread: &Thread) -> bool {
        let threads = self.members.threads.borrow();
        let found = threads.iter().find(|(_, member)| *member == thread);
        let number = found.map(|(number, _)| *number);
        // Not under the borrow: the last member that leaves wakes the waiters.
        drop(threads);
        number
            .inspect(|number| self.members.remove(*number))
            .is_some()
    }

    /// True if the green thread is a member, and so has not ended.
    pub fn contains(&self, thread: &Thread) -> bool {
        self.members.has(thread)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.members.threads.borrow().len()
    }

    /// True if the group has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members, in the order in which they were added.
    pub fn threads(&self) -> Vec<Thread> {
        self.members.threads.borrow().values().cloned().collect()
    }

    /// Waits until the group is empty, in any style. Cancel safe.
    ///
    /// ```
    /// use oneloop::aio;
    /// use oneloop::green::{Group, yield_now};
    /// aio::block_on(async {
    ///     let group = Group::new();
    ///     group.spawn(yield_now);
    ///     group.until_empty().await;
    /// });
    /// ```
    pub fn until_empty(&self) -> UntilSet {
        // An event, and not a join of each member: threads may be added meanwhile.
        self.members.empty.until_set()
    }

    /// Waits until the group is empty.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join(&self) {
        wait_at(self.until_empty(), Location::caller());
    }

    /// Waits until the group is empty, for `duration` at most.
    ///
    /// # Errors
    /// [`Elapsed`] if there are members left.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join_timeout(&self, duration: Duration) -> Result<(), Elapsed> {
        let empty = Handle::current().timeout(duration, self.until_empty());
        wait_at(empty, Location::caller())
    }

    /// Kills all members, in the order in which they were added, and waits until they have ended.
    /// It also kills threads that are spawned into the group meanwhile.
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
            // A member that has ended leaves the group in a link, behind what is ready: let that
            // run.
            wait_at(oneloop_core::yield_now(), at);
        }
    }

    /// Kills one member, and waits until it has ended and left the group: `killone` of gevent. Does
    /// nothing to a thread that is not a member.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn kill_one(&self, thread: &Thread) {
        if self.contains(thread) {
            // The group's link is older than this wait, so the member has left when the wait ends.
            thread.kill_soon();
            wait_at(thread.finished(), Location::caller());
        }
    }

    /// Kills all members without waiting until they have ended.
    pub fn kill_soon(&self) {
        for thread in self.threads() {
            thread.kill_soon();
        }
    }
}

impl GroupMapping for Group {
    #[track_caller]
    fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        Group::spawn(self, function)
    }
}
