//! A queue with two sides, which closes when all handles of one side are gone.

use crate::queue::{Full, Get, Put, Queue};
use crate::queue_state::Empty;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

struct ChannelState<T> {
    queue: Queue<T>,
    /// How many senders there are, including those that futures of sends hold.
    senders: Cell<usize>,
    /// How many receivers there are, including those that futures of receives hold.
    receivers: Cell<usize>,
}

/// Creates a channel with room for `capacity` values; `None` is no limit. `Some(0)` makes it a
/// rendezvous, gevent's `Channel`: a send completes when a receiver has the value, and the receiver
/// continues first.
///
/// Both sides can be cloned. A channel closes when all senders, or all receivers, are gone. The
/// future of a send counts as a sender, and that of a receive as a receiver.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::channel;
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
#[doc(alias("mpsc", "unbounded_channel"))]
pub fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    // Fair, so that a receiver in a loop does not take the values for which others were woken.
    let state = Rc::new(ChannelState {
        queue: capacity
            .map_or_else(Queue::unbounded, Queue::bounded)
            .fair(),
        senders: Cell::new(1),
        receivers: Cell::new(1),
    });
    let sender = Sender {
        state: Rc::clone(&state),
    };
    (sender, Receiver { state })
}

/// The sending side of a [`channel`].
pub struct Sender<T> {
    state: Rc<ChannelState<T>>,
}

impl<T> Sender<T> {
    /// Waits for room, and sends the value.
    ///
    /// Cancel safe: a send that is dropped before it is ready drops the value, too. (At a
    /// rendezvous, a receiver may have the value already.)
    ///
    /// # Errors
    /// [`Closed`] returns the value when all receivers are gone.
    pub fn send(&self, value: T) -> Sending<T> {
        Sending {
            put: self.state.queue.put(value),
            _sender: self.clone(),
        }
    }

    /// Sends the value, if there is room that no task waits for; at a rendezvous, if a receiver
    /// waits.
    ///
    /// # Errors
    /// [`TrySendError`] returns the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let sent = self.state.queue.try_put(value);
        // The queue returns the value in both cases: a closed queue has no room either.
        sent.map_err(|Full(value)| match self.is_closed() {
            true => TrySendError::Closed(value),
            false => TrySendError::Full(value),
        })
    }

    /// True once all receivers are gone.
    pub fn is_closed(&self) -> bool {
        self.state.queue.is_closed()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let senders = &self.state.senders;
        senders.set(senders.get() + 1);
        Sender {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let ChannelState { queue, senders, .. } = &*self.state;
        senders.set(senders.get() - 1);
        if senders.get() == 0 {
            queue.close(); // but not cleared: receivers still get the values that were sent
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.state.queue).finish()
    }
}

/// The receiving side of a [`channel`].
pub struct Receiver<T> {
    state: Rc<ChannelState<T>>,
}

impl<T> Receiver<T> {
    /// Waits for a value. Returns `None` when no value is left and all senders are gone. Cancel
    /// safe: a receive that is dropped before it is ready has taken no value.
    #[doc(alias = "recv")]
    pub fn receive(&self) -> Receiving<T> {
        Receiving {
            get: self.state.queue.get(),
            _receiver: self.clone(),
        }
    }

    /// Takes the next value, if there is one that no task waits for.
    ///
    /// # Errors
    /// [`TryReceiveError`] says whether a value may still come.
    #[doc(alias = "try_recv")]
    pub fn try_receive(&self) -> Result<T, TryReceiveError> {
        self.state.queue.try_take().map_err(|empty| match empty {
            Empty::ForNow => TryReceiveError::Empty,
            Empty::Forever => TryReceiveError::Closed,
        })
    }

    /// True once all senders are gone. Values may be left.
    pub fn is_closed(&self) -> bool {
        self.state.queue.is_closed()
    }

    /// Returns the number of values in the channel.
    pub fn len(&self) -> usize {
        self.state.queue.len()
    }

    /// True if the channel has no value.
    pub fn is_empty(&self) -> bool {
        self.state.queue.is_empty()
    }

    /// Returns the maximum number of values: `None` for no limit, 0 for a rendezvous.
    pub fn capacity(&self) -> Option<usize> {
        self.state.queue.capacity()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let receivers = &self.state.receivers;
        receivers.set(receivers.get() + 1);
        Receiver {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let ChannelState {
            queue, receivers, ..
        } = &*self.state;
        receivers.set(receivers.get() - 1);
        if receivers.get() == 0 {
            // Closed first: clearing makes room and wakes senders, which must find the channel
            // closed.
            queue.close();
            queue.clear();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.state.queue).finish()
    }
}

/// The future of [`Sender::send`]; it takes its ticket when it is first polled.
///
/// # Panics
/// If it is polled again after it was ready.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sending<T> {
    put: Put<T>,
    _sender: Sender<T>, // declared last: the put leaves the queue before this may close it
}

impl<T> Future for Sending<T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.put.poll_put(cx).map_err(Closed)
    }
}

/// The future of [`Receiver::receive`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Receiving<T> {
    get: Get<T>,
    _receiver: Receiver<T>, // declared last: the get leaves the queue before this may close it
}

impl<T> Future for Receiving<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get.poll_get(cx)
    }
}

/// The error of [`Sender::send`]: all receivers are gone. It returns the value.
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

/// Why [`Sender::try_send`] sent nothing. The error returns the value.
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

/// Why [`Receiver::try_receive`] received nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryReceiveError {
    /// No value is there.
    Empty,
    /// No value is there, and all senders are gone.
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
