//! A call for each item, on green threads: the results as they come.

use crate::thread::{Builder, JoinHandle};
use crate::unwind::resume_unwind;
use crate::wait::{Wait, wait_at};
use oneloop_core::JoinError;
use oneloop_sync::{Receiver, Semaphore, Sender, channel};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;

/// The results of [`Pool::imap`](crate::Pool::imap) and its like. Dropped, it asks for no more items; the
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
pub(crate) type Call<T> = Box<dyn FnOnce() -> T>;

impl<T: 'static> Imap<T> {
    pub(crate) fn start<A: 'static>(
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
            feeder: Some(Builder::new().start_at(feed, at)),
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

/// The value, or the panic that took its place, which goes on here.
pub(crate) fn value_of<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => panic!("a call has no result: {error}"),
    }
}
