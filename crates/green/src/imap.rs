//! Mapping a function over items, each call on its own green thread: `map`, `imap`,
//! `imap_unordered`.

use crate::join_handle::JoinHandle;
use crate::spawn::Builder;
use crate::unwind::resume_unwind;
use crate::wait::{Wait, wait_at};
use oneloop_core::JoinError;
use oneloop_sync::{Receiver, Semaphore, Sender, channel};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

/// Maps functions over many items, in a [`Group`](crate::Group) or a [`Pool`](crate::Pool):
/// gevent's `GroupMappingMixin`. Each call runs on its own green thread of the group; those of a
/// pool run as far as it has permits.
///
/// ```
/// use oneloop::green::{Group, GroupMapping, run};
/// let squares = run(|| Group::new().map(1..=3, |n| n * n))?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait GroupMapping: Clone + 'static {
    /// Starts a green thread in the group.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    fn spawn<T: 'static>(&self, function: impl FnOnce() -> T + 'static) -> JoinHandle<T>;

    /// Calls the function with each item, and returns the results in the order of the items.
    ///
    /// # Panics
    /// Outside of a green thread, and when a call does: with the payload of the first such call in
    /// the order of the items, once the calls before it have ended.
    #[track_caller]
    fn map<A: 'static, T: 'static>(
        &self,
        items: impl IntoIterator<Item = A>,
        function: impl Fn(A) -> T + 'static,
    ) -> Vec<T> {
        // Collected, as the items may borrow: the green thread that feeds them outlives this call.
        let items: Vec<A> = items.into_iter().collect();
        self.imap(items, function).collect()
    }

    /// Calls the function with each item, and yields the results in the order of the items. Another
    /// green thread takes the items as fast as it can spawn the calls, whether or not the results
    /// are read; [`eventlet::imap`](crate::eventlet::imap) waits for that as well. A call that
    /// panicked panics in `next`, which does not affect the calls behind it.
    #[track_caller]
    fn imap<A: 'static, T: 'static>(
        &self,
        items: impl IntoIterator<Item = A, IntoIter: 'static>,
        function: impl Fn(A) -> T + 'static,
    ) -> Imap<T> {
        let at = Location::caller();
        Imap::start(self, items.into_iter(), function, Order::OfItems, at)
    }

    /// As [`GroupMapping::imap`], in the order in which the calls end.
    #[track_caller]
    fn imap_unordered<A: 'static, T: 'static>(
        &self,
        items: impl IntoIterator<Item = A, IntoIter: 'static>,
        function: impl Fn(A) -> T + 'static,
    ) -> Imap<T> {
        let at = Location::caller();
        Imap::start(self, items.into_iter(), function, Order::OfEnds, at)
    }
}

/// The results of [`GroupMapping::imap`] and its variants. When it is dropped, no further items are
/// taken; the calls that have begun continue.
#[derive(Debug)]
#[must_use = "the iterator yields the results"]
pub struct Imap<T> {
    calls: Receiver<(usize, JoinHandle<T>)>,
    order: Order,
    /// Calls that ended before the one that is next.
    early: BTreeMap<usize, JoinHandle<T>>,
    next: usize,
    /// For [`Order::Bounded`]: permits for the calls that run or have unread results, and one more
    /// for the call that is about to be spawned.
    unread: Option<Semaphore>,
    /// The green thread that takes the items and spawns the calls.
    feeder: Option<JoinHandle<()>>,
}

/// The order of an [`Imap`]'s results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OfItems,
    OfEnds,
    /// That of the items; the feeder pauses while this number of results is unread.
    Bounded(usize),
}

impl<T: 'static> Imap<T> {
    pub(crate) fn start<A: 'static>(
        group: &impl GroupMapping,
        mut items: impl Iterator<Item = A> + 'static,
        function: impl Fn(A) -> T + 'static,
        order: Order,
        at: &'static Location<'static>,
    ) -> Self {
        // Without a limit: a link runs on no green thread, so it cannot wait for room.
        let (into, calls) = channel(None);
        let unread = match order {
            Order::Bounded(results_max) => Some(Semaphore::new(results_max + 1)),
            Order::OfItems | Order::OfEnds => None,
        };
        let (permits, group, function) = (unread.clone(), group.clone(), Rc::new(function));
        let feed = move || {
            for number in 0.. {
                if let Some(permits) = &permits {
                    permits.acquire().wait().forget(); // `Imap::next` releases it
                }
                let Some(item) = items.next() else { return };
                let function = Rc::clone(&function);
                let call = group.spawn(move || function(item));
                match order {
                    // The permits limit the calls, so the reader may join one that still runs.
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
            unread,
            feeder: Some(Builder::new().start_at(feed, at)),
        }
    }
}

/// Sends a call to the reader, if that has not been dropped.
fn deliver<T>(into: &Sender<(usize, JoinHandle<T>)>, number: usize, call: JoinHandle<T>) {
    let _ = into.try_send((number, call));
}

fn deliver_at_end<T: 'static>(
    into: Sender<(usize, JoinHandle<T>)>,
    number: usize,
    call: JoinHandle<T>,
) {
    // A link, and not a thread that joins: that would take a second stack for each call.
    let thread = call.thread().clone();
    thread.on_exit(move |_| deliver(&into, number, call));
}

impl<T> Imap<T> {
    /// Waits for the call whose result is next.
    #[track_caller]
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
            if let Some(unread) = &self.unread {
                unread.release(); // the feeder may spawn one more call
            }
            return Some(value_of(result));
        }
        // The feeder has dropped its sender: it took all items, or their iterator panicked.
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

/// The value of a call, or its panic, which continues in the caller.
pub(crate) fn value_of<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => panic!("a call has no result: {error}"),
    }
}
