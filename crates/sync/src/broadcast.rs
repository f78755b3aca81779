//! A channel that delivers each value to each receiver, and never waits for slow ones: tokio's
//! `sync::broadcast`.
//!
//! The channel keeps the latest values, up to its capacity. A receiver that is further behind has
//! *lagged*: it learns how many values it missed, and continues with the oldest one that is left.
//! A sender that must wait for its receivers needs a [`channel`](crate::channel()) for each of
//! them; for receivers that only need the latest value, there is [`watch`](crate::watch).
//!
//! ```
//! use oneloop::aio::{block_on, join, spawn};
//! use oneloop::sync::broadcast::{self, ReceiveError};
//!
//! block_on(async {
//!     let (sender, mut receiver) = broadcast::channel(2);
//!     let mut slow = sender.subscribe();
//!     let reader = spawn(async move {
//!         let mut lines = Vec::new();
//!         while let Ok(line) = receiver.receive().await {
//!             lines.push(line);
//!         }
//!         lines
//!     });
//!     for line in ["one", "two", "three"] {
//!         sender.send(line).unwrap();
//!         oneloop::aio::yield_now().await; // the reader receives it; `slow` does not run
//!     }
//!     drop(sender);
//!     assert_eq!(reader.await.unwrap(), ["one", "two", "three"]);
//!     assert_eq!(slow.receive().await, Err(ReceiveError::Lagged(1)));
//!     assert_eq!(slow.receive().await, Ok("two"));
//!     assert_eq!(slow.receive().await, Ok("three"));
//!     assert_eq!(slow.receive().await, Err(ReceiveError::Closed));
//! });
//! ```
//!
//! A green thread calls `receiver.receive().wait()`, and a callback waits in
//! `spawn_micro(async move { … receiver.receive().await … })`. Every style, and each callback, may
//! send. Other threads do so by [`Sender::remote`].

use crate::channel::Closed;
use crate::sides::{Receivers, Senders};
use crate::waiters::{SharedState, Ticket};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use crate::sides::UntilClosed;

struct Broadcast<T> {
    state: SharedState<BroadcastState<T>>,
    receivers: Receivers,
    capacity: usize,
}

/// The latest values, by their numbers.
///
/// ```text
///             first                  next
///  dropped: 5 │ 6 ─ 7 ─ 8 ─ 9 ◀── send
///          ▲        ▲           ▲
///          lagged   behind      waits: has received all
/// ```
struct BroadcastState<T> {
    /// Each with the number of receivers that have not received it.
    // The counts never fall from the front to the back, because a receiver takes values in order,
    // and counts only for those that were sent since it came. So values leave at the front.
    values: VecDeque<(Rc<T>, usize)>,
    /// The number of the oldest value, or of the next one if there is none.
    first: u64,
    senders: Senders,
}

impl<T> BroadcastState<T> {
    /// The number of the next value that is sent.
    fn next(&self) -> u64 {
        self.first + self.values.len() as u64
    }

    /// Returns what a receiver that is `at` a number receives next, and moves it behind that:
    /// `None` if it has received everything.
    fn receive(&mut self, at: &Cell<u64>) -> Option<Result<Rc<T>, u64>> {
        let missed = self.first.saturating_sub(at.get());
        if missed > 0 {
            at.set(self.first);
            return Some(Err(missed));
        }
        let index = usize::try_from(at.get() - self.first).ok()?;
        let (value, receivers) = self.values.get_mut(index)?;
        at.set(at.get() + 1);
        *receivers -= 1;
        let is_last = *receivers == 0;
        let value = Rc::clone(value);
        if is_last {
            self.first += 1;
            self.values.pop_front(); // drops no `T`: the caller has it
        }
        Some(Ok(value))
    }

    /// Counts a receiver out that is `at` a number, and returns the values that no other receiver
    /// needs. The caller drops them, which runs foreign code.
    fn leave(&mut self, at: u64) -> Vec<(Rc<T>, usize)> {
        let received = usize::try_from(at.saturating_sub(self.first));
        let unread = self.values.iter_mut().skip(received.unwrap_or(usize::MAX));
        unread.for_each(|(_, receivers)| *receivers -= 1);
        let needed = self.values.iter().position(|(_, receivers)| *receivers > 0);
        let unneeded = needed.unwrap_or(self.values.len());
        self.first += unneeded as u64;
        self.values.drain(..unneeded).collect()
    }
}

/// Creates a channel that keeps the latest `capacity` values for receivers that have not received
/// them.
///
/// # Panics
/// If the capacity is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The sending side of a [`channel`]. A clone is another sender of the same channel.
pub struct Sender<T> {
    broadcast: Rc<Broadcast<T>>,
}

impl<T> Sender<T> {
    /// Creates a channel without receivers, which [`Sender::subscribe`] adds.
    ///
    /// # Panics
    /// If the capacity is 0.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a broadcast channel needs room for a value");
        Sender {
            broadcast: Rc::new(Broadcast {
                state: SharedState::new(BroadcastState {
                    values: VecDeque::new(),
                    first: 0,
                    senders: Senders::one(),
                }),
                receivers: Receivers::new(0),
                capacity,
            }),
        }
    }

    /// Sends the value to all receivers, wakes those that wait, in the order in which they came,
    /// and returns their number. In a full channel, it drops the oldest value, which the slow
    /// receivers miss. Never waits.
    ///
    /// # Errors
    /// [`Closed`] returns the value when there is no receiver. A later send may succeed, because
    /// [`Sender::subscribe`] adds receivers.
    pub fn send(&self, value: T) -> Result<usize, Closed<T>> {
        let Broadcast {
            state,
            receivers,
            capacity,
        } = &*self.broadcast;
        let receivers = receivers.count();
        if receivers == 0 {
            return Err(Closed(value));
        }
        let value = Rc::new(value);
        let missed = state.change(|state, effects| {
            let is_full = state.values.len() == *capacity;
            let missed = is_full.then(|| state.values.pop_front());
            state.first += u64::from(is_full);
            state.values.push_back((value, receivers));
            state.senders.announce(effects);
            missed
        });
        drop(missed); // foreign code
        Ok(receivers)
    }

    /// Adds a receiver, which receives the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::of(&self.broadcast)
    }

    /// Waits until there is no receiver. Completes at once if there is none now. Cancel safe.
    pub fn closed(&self) -> UntilClosed {
        self.broadcast.receivers.until_none()
    }

    /// Returns the number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.broadcast.receivers.count()
    }

    /// Returns the number of values that some receiver has not received.
    pub fn len(&self) -> usize {
        self.broadcast.state.look(|state| state.values.len())
    }

    /// True if all receivers have received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.broadcast, &other.broadcast)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let broadcast = Rc::clone(&self.broadcast);
        broadcast.state.change(|state, _| state.senders.add());
        Sender { broadcast }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let state = &self.broadcast.state;
        state.change(|state, effects| state.senders.remove(effects));
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("receivers", &self.receiver_count())
            .finish()
    }
}

/// The receiving side of a [`channel`].
pub struct Receiver<T> {
    broadcast: Rc<Broadcast<T>>,
    /// The number of the value that it receives next.
    at: Cell<u64>,
}

impl<T> Receiver<T> {
    fn of(broadcast: &Rc<Broadcast<T>>) -> Self {
        broadcast.receivers.add();
        Receiver {
            broadcast: Rc::clone(broadcast),
            at: Cell::new(broadcast.state.look(BroadcastState::next)),
        }
    }

    /// Waits for the next value, and returns a clone of it; the last receiver of a value gets the
    /// value itself. Cancel safe: a dropped wait has received nothing.
    ///
    /// # Errors
    /// [`ReceiveError::Lagged`] with the number of values that this receiver missed, because they
    /// did not fit in the channel. The next call returns the oldest value that is left.
    /// [`ReceiveError::Closed`] when all values were received and all senders are gone.
    #[doc(alias = "recv")]
    pub fn receive(&mut self) -> Receiving<'_, T>
    where
        T: Clone,
    {
        Receiving {
            receiver: self,
            ticket: None,
        }
    }

    /// Returns a clone of the next value, if it is there.
    ///
    /// # Errors
    /// [`TryReceiveError`] says whether this receiver missed values, and whether one may come.
    #[doc(alias = "try_recv")]
    pub fn try_receive(&mut self) -> Result<T, TryReceiveError>
    where
        T: Clone,
    {
        let state = &self.broadcast.state;
        let received = state.change(|state, _| state.receive(&self.at));
        match received {
            Some(Ok(value)) => Ok(Rc::unwrap_or_clone(value)),
            Some(Err(missed)) => Err(TryReceiveError::Lagged(missed)),
            None if self.is_closed() => Err(TryReceiveError::Closed),
            None => Err(TryReceiveError::Empty),
        }
    }

    /// Adds a receiver, which receives the values that are sent from now on.
    pub fn resubscribe(&self) -> Receiver<T> {
        Receiver::of(&self.broadcast)
    }

    /// Returns the number of values that were sent and that this receiver has not received. Those
    /// that it missed count until [`ReceiveError::Lagged`] reports them.
    pub fn len(&self) -> usize {
        let next = self.broadcast.state.look(BroadcastState::next);
        usize::try_from(next - self.at.get()).unwrap_or(usize::MAX)
    }

    /// True if this receiver has received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True once all senders are gone. Values may be left.
    pub fn is_closed(&self) -> bool {
        self.broadcast.state.look(|state| state.senders.count()) == 0
    }

    /// True if both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.broadcast, &other.broadcast)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let Broadcast {
            state, receivers, ..
        } = &*self.broadcast;
        let unneeded = state.change(|state, _| state.leave(self.at.get()));
        receivers.remove();
        drop(unneeded);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// The future of [`Receiver::receive`]; it takes its ticket when it is first polled.
#[must_use = "futures do nothing unless awaited"]
pub struct Receiving<'a, T> {
    receiver: &'a mut Receiver<T>,
    ticket: Option<Ticket<()>>,
}

impl<T: Clone> Future for Receiving<'_, T> {
    type Output = Result<T, ReceiveError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, ticket } = self.get_mut();
        let state = &receiver.broadcast.state;
        let received = state.poll(cx, |state, waker, effects| {
            let received = state.receive(&receiver.at);
            let has_news = received.is_some();
            let polled = state.senders.poll_news(has_news, ticket, waker, effects);
            polled.map(|()| received)
        });
        received.map(|received| match received {
            Some(Ok(value)) => Ok(Rc::unwrap_or_clone(value)), // after the borrow: foreign code
            Some(Err(missed)) => Err(ReceiveError::Lagged(missed)),
            None => Err(ReceiveError::Closed),
        })
    }
}

impl<T> Drop for Receiving<'_, T> {
    fn drop(&mut self) {
        let ticket = &mut self.ticket;
        let state = &self.receiver.broadcast.state;
        state.change(|state, effects| state.senders.give_up(ticket, effects));
    }
}

impl<T> fmt::Debug for Receiving<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiving").field(&self.receiver).finish()
    }
}

/// Why [`Receiver::receive`] received no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "RecvError")]
pub enum ReceiveError {
    /// The receiver missed this number of values, and continues with the oldest one that is left.
    Lagged(u64),
    /// All values were received, and all senders are gone.
    Closed,
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::Lagged(missed) => write!(f, "the receiver missed {missed} values"),
            ReceiveError::Closed => f.write_str("all senders are gone"),
        }
    }
}
impl std::error::Error for ReceiveError {}

/// Why [`Receiver::try_receive`] received no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "TryRecvError")]
pub enum TryReceiveError {
    /// No value is there.
    Empty,
    /// The receiver missed this number of values, and continues with the oldest one that is left.
    Lagged(u64),
    /// All values were received, and all senders are gone.
    Closed,
}

impl fmt::Display for TryReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TryReceiveError::Empty => f.write_str("no value is there"),
            TryReceiveError::Lagged(missed) => ReceiveError::Lagged(missed).fmt(f),
            TryReceiveError::Closed => ReceiveError::Closed.fmt(f),
        }
    }
}
impl std::error::Error for TryReceiveError {}
