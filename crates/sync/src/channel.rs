//! A queue with two sides, which ends when one of them is gone.

use crate::queue::{Empty, Full, Get, Put, Queue};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

struct Shared<T> {
    queue: Queue<T>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
}

/// Makes a channel with room for that many values; `None` is no end of it. With `Some(0)` it is a
/// rendezvous, gevent's `Channel`: a send is through once a receiver has the value, and that one goes
/// on first.
///
/// Both sides can be cloned. A future counts as one of its side.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::channel;
/// let mut event_loop = EventLoop::new()?;
/// let (sender, receiver) = channel(Some(8));
/// event_loop.handle().spawn(async move {
///     for number in 1..=3 {
///         sender.send(number).await.unwrap();
///     }
/// });
/// let sum = event_loop.block_on(async {
///     let mut sum = 0;
///     while let Some(number) = receiver.receive().await {
///         sum += number;
///     }
///     sum
/// });
/// assert_eq!(sum, 6);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        queue: capacity
            .map_or_else(Queue::unbounded, Queue::bounded)
            .fair(),
        senders: Cell::new(1),
        receivers: Cell::new(1),
    });
    let sender = Sender {
        shared: Rc::clone(&shared),
    };
    (sender, Receiver { shared })
}

/// The side of a [`channel`] where values go in.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Waits for room, and sends the value. Cancel safe: dropped before it is ready, it has not sent the
    /// value, which is dropped with it. (At a rendezvous, a receiver may have the value already.)
    ///
    /// # Errors
    /// The future gives the value back in [`Closed`] when all receivers are gone.
    pub fn send(&self, value: T) -> Sending<T> {
        Sending {
            put: self.shared.queue.put(value),
            _sender: self.clone(),
        }
    }

    /// Sends the value, if there is room that nobody waits for; at a rendezvous, if a receiver waits.
    ///
    /// # Errors
    /// Gives the value back, and says why.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let sent = self.shared.queue.try_put(value);
        sent.map_err(|Full(value)| match self.is_closed() {
            true => TrySendError::Closed(value),
            false => TrySendError::Full(value),
        })
    }

    /// True when all receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.shared.queue.is_closed()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let senders = &self.shared.senders;
        senders.set(senders.get() + 1);
        Sender {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let Shared { queue, senders, .. } = &*self.shared;
        senders.set(senders.get() - 1);
        if senders.get() == 0 {
            queue.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.queue).finish()
    }
}

/// The side of a [`channel`] where values come out.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Waits for a value; gives `None` when there is none and all senders are gone. Cancel safe:
    /// dropped before it is ready, it has taken no value.
    pub fn receive(&self) -> Receiving<T> {
        Receiving {
            get: self.shared.queue.get(),
            _receiver: self.clone(),
        }
    }

    /// Takes the next value, if there is one that nobody waits for.
    ///
    /// # Errors
    /// Says whether one may still come.
    pub fn try_receive(&self) -> Result<T, TryReceiveError> {
        self.shared.queue.try_take().map_err(|empty| match empty {
            Empty::ForNow => TryReceiveError::Empty,
            Empty::ForEver => TryReceiveError::Closed,
        })
    }

    /// True when all senders are gone; there may be values left.
    pub fn is_closed(&self) -> bool {
        self.shared.queue.is_closed()
    }

    /// How many values are on their way.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// True when no value is on its way.
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }

    /// For how many values there is room.
    pub fn capacity(&self) -> Option<usize> {
        self.shared.queue.capacity()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let receivers = &self.shared.receivers;
        receivers.set(receivers.get() + 1);
        Receiver {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let Shared {
            queue, receivers, ..
        } = &*self.shared;
        receivers.set(receivers.get() - 1);
        if receivers.get() == 0 {
            queue.close();
            queue.clear();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.shared.queue).finish()
    }
}

/// The future of [`Sender::send`]; it takes its place in line when it is first polled.
///
/// # Panics
/// When it is polled again after it was ready.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sending<T> {
    put: Put<T>,
    _sender: Sender<T>, // dropped behind the put
}

impl<T> Future for Sending<T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.put.poll_put(cx).map_err(Closed)
    }
}

/// The future of [`Receiver::receive`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Receiving<T> {
    get: Get<T>,
    _receiver: Receiver<T>, // dropped behind the get
}

impl<T> Future for Receiving<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get.poll_get(cx)
    }
}

/// All receivers are gone: gives the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}
impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all receivers are gone")
    }
}
impl<T> std::error::Error for Closed<T> {}

/// Why a value could not be sent without waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There was no room.
    Full(T),
    /// All receivers are gone.
    Closed(T),
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}
impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "the channel is full",
            TrySendError::Closed(_) => "all receivers are gone",
        })
    }
}
impl<T> std::error::Error for TrySendError<T> {}

/// Why no value could be received without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryReceiveError {
    /// There is none.
    Empty,
    /// There is none, and all senders are gone.
    Closed,
}

impl fmt::Display for TryReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryReceiveError::Empty => "the channel is empty",
            TryReceiveError::Closed => "all senders are gone",
        })
    }
}
impl std::error::Error for TryReceiveError {}
