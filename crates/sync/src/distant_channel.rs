//! A bounded channel between loops: its ends move to other threads.

use crate::blocking::{park_until, refuse_in_loop};
use crate::channel::{Closed, TryReceiveError, TrySendError};
use oneloop_core::concurrency::thread::{self, ThreadId};
use oneloop_core::concurrency::{Mutex, MutexGuard};
use oneloop_core::{Handle, Remote, Stream, drop_guarded, wake_guarded};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

/// What both sides share.
struct Channel<T> {
    capacity: usize,
    state: Mutex<ChannelState<T>>,
}

/// ```text
///  values:  ■ ■ ■ ■ □ □      capacity 6, so there is room for 2
///  line:    1 2 | 3 4        sends 1 and 2 are admitted, and were woken; 3 and 4 wait
/// ```
struct ChannelState<T> {
    values: VecDeque<T>,
    /// Sends that wait for room, in the order in which they came. As many of them as there is room
    /// for are admitted.
    line: VecDeque<WaitingSend>,
    tickets: u64,
    /// Wakes the receiver, while that waits.
    receiver: Option<Waker>,
    /// The number of senders, including those that futures of sends hold.
    senders: usize,
    /// The receiver is gone, or has closed the channel.
    is_closed: bool,
}

struct WaitingSend {
    ticket: u64,
    /// `None` once it was woken.
    waker: Option<Waker>,
}

impl<T> ChannelState<T> {
    fn room(&self, capacity: usize) -> usize {
        capacity - self.values.len()
    }

    /// The place of a ticket in the line; without a ticket, that behind the last one.
    fn position(&self, ticket: Option<u64>) -> usize {
        let is_mine = |waiting: &WaitingSend| Some(waiting.ticket) == ticket;
        self.line
            .iter()
            .position(is_mine)
            .unwrap_or(self.line.len())
    }

    /// Wakes the admitted sends that have not been woken yet.
    fn admit(&mut self, capacity: usize, wakes: &mut Wakes) {
        let room = self.room(capacity);
        for waiting in self.line.iter_mut().take(room) {
            wakes.add(waiting.waker.take());
        }
    }

    fn take(&mut self, channel: &Channel<T>, wakes: &mut Wakes) -> Result<T, TryReceiveError> {
        match self.values.pop_front() {
            Some(value) => {
                self.admit(channel.capacity, wakes);
                Ok(value)
            }
            None if self.is_closed || self.senders == 0 => Err(TryReceiveError::Closed),
            None => Err(TryReceiveError::Empty),
        }
    }
}

/// What to wake after a change. Mostly it is one task, for which this allocates nothing.
#[derive(Default)]
struct Wakes {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakes {
    fn add(&mut self, waker: Option<Waker>) {
        match &self.first {
            None => self.first = waker,
            Some(_) => self.others.extend(waker),
        }
    }
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, ChannelState<T>> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and then wakes what the change has collected: wakers are foreign code,
    /// which may use this channel (rule 2).
    fn change<R>(&self, change: impl FnOnce(&mut ChannelState<T>, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = change(&mut self.lock(), &mut wakes);
        wakes.first.into_iter().for_each(wake_guarded);
        wakes.others.into_iter().for_each(wake_guarded);
        result
    }

    /// Closes the channel: later sends fail, and so do those that wait.
    fn close(&self) {
        self.change(|state, wakes| {
            state.is_closed = true;
            for waiting in mem::take(&mut state.line) {
                wakes.add(waiting.waker);
            }
            wakes.add(state.receiver.take());
        });
    }
}

/// Creates a channel between loops with room for `capacity` values: tokio's `mpsc::channel`.
///
/// Both ends are [`Send`], so each moves to the loop or thread that uses it; the sender can be
/// cloned. A send waits while the channel is full, so a fast loop cannot fill the memory of a slow
/// one. Sends that wait continue in the order in which they came.
///
/// The channel closes when the receiver is dropped, or when the last sender is: a loop that ends
/// drops its tasks with their ends of channels, so the other side learns of it. What was sent
/// before the last sender was dropped is still received.
///
/// A burst of a thousand values takes one `write(2)` to the eventfd of the other loop: a wake is
/// needed only if that loop waits here and has no other mail.
///
/// A receiver that has waited, and a send that waits, keep their loops alive, because another
/// thread may still come: see [`DistantReceiver::set_referenced`]. A virtual clock does not wait
/// for other threads.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::distant_channel;
/// use std::thread;
/// let (sender, mut receiver) = distant_channel(8);
/// let other = thread::spawn(move || {
///     let mut event_loop = EventLoop::new().unwrap();
///     event_loop.block_on(async move {
///         for number in 1..=100 {
///             sender.send(number).await.unwrap(); // waits for room from time to time
///         }
///     });
/// });
/// let sum = EventLoop::new()?.block_on(async {
///     let mut sum = 0;
///     while let Some(number) = receiver.receive().await {
///         sum += number;
///     }
///     sum
/// });
/// assert_eq!(sum, 5050);
/// other.join().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Within one loop, [`channel`](crate::channel) needs no lock, and its values need not be `Send`.
///
/// # Panics
/// If `capacity` is 0.
#[doc(alias(
    "mpsc",
    "sync_channel",
    "channel_mesh",
    "MessageChannel",
    "worker_threads"
))]
pub fn distant_channel<T: Send>(capacity: usize) -> (DistantSender<T>, DistantReceiver<T>) {
    assert!(
        capacity > 0,
        "a channel between loops needs room for a value"
    );
    let channel = Arc::new(Channel {
        capacity,
        state: Mutex::new(ChannelState {
            values: VecDeque::new(),
            line: VecDeque::new(),
            tickets: 0,
            receiver: None,
            senders: 1,
            is_closed: false,
        }),
    });
    let sender = DistantSender {
        channel: Arc::clone(&channel),
    };
    let receiver = DistantReceiver {
        channel,
        is_referenced: true,
        home: None,
    };
    (sender, receiver)
}

/// The sending side of a [`distant_channel`].
pub struct DistantSender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> DistantSender<T> {
    /// Waits for room, and sends the value.
    ///
    /// Cancel safe: a send that is dropped before it is ready has sent nothing, and drops the
    /// value.
    ///
    /// # Errors
    /// [`Closed`] returns the value when the receiver is gone.
    pub fn send(&self, value: T) -> DistantSending<T> {
        DistantSending {
            value: Some(value),
            ticket: None,
            sender: self.clone(),
            keeps_alive: None,
        }
    }

    /// Sends the value, if there is room that no send waits for.
    ///
    /// # Errors
    /// [`TrySendError`] returns the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.channel.change(|state, wakes| {
            if state.is_closed {
                return Err(TrySendError::Closed(value));
            }
            if state.line.len() >= state.room(self.channel.capacity) {
                return Err(TrySendError::Full(value));
            }
            state.values.push_back(value);
            wakes.add(state.receiver.take());
            Ok(())
        })
    }

    /// As [`DistantSender::send`], but blocks the thread: for threads without a loop.
    ///
    /// # Errors
    /// Those of [`DistantSender::send`].
    ///
    /// # Panics
    /// Inside a loop, because it would block that loop.
    #[doc(alias = "blocking_send")]
    #[track_caller]
    pub fn send_blocking(&self, value: T) -> Result<(), Closed<T>> {
        refuse_in_loop("send_blocking would block the loop that runs here: await send instead");
        let mut sending = self.send(value);
        park_until(|cx| sending.poll_send(cx))
    }

    /// True once the receiver is gone, or has closed the channel.
    pub fn is_closed(&self) -> bool {
        self.channel.lock().is_closed
    }
}

impl<T> Clone for DistantSender<T> {
    fn clone(&self) -> Self {
        self.channel.lock().senders += 1;
        DistantSender {
            channel: Arc::clone(&self.channel),
        }
    }
}

impl<T> Drop for DistantSender<T> {
    fn drop(&mut self) {
        self.channel.change(|state, wakes| {
            state.senders -= 1;
            if state.senders == 0 {
                wakes.add(state.receiver.take());
            }
        });
    }
}

impl<T> fmt::Debug for DistantSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistantSender({})", std::any::type_name::<T>())
    }
}

/// The future of [`DistantSender::send`]; it takes its place in line when it is first polled.
///
/// # Panics
/// If it is polled again after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct DistantSending<T> {
    value: Option<T>,
    /// Its place in line, while it waits.
    ticket: Option<u64>,
    sender: DistantSender<T>,
    /// Keeps the loop alive while it waits.
    keeps_alive: Option<Remote>,
}

impl<T> DistantSending<T> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed<T>>> {
        let value = self.value.take().expect("it was not ready before");
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let (ticket, channel) = (self.ticket, &self.sender.channel);
        let (polled, replaced) = channel.change(|state, wakes| {
            if state.is_closed {
                return (Poll::Ready(Err(Closed(value))), None);
            }
            let position = state.position(ticket);
            if position < state.room(channel.capacity) {
                state.line.remove(position);
                state.values.push_back(value);
                wakes.add(state.receiver.take());
                return (Poll::Ready(Ok(())), None);
            }
            self.value = Some(value);
            if position == state.line.len() {
                state.tickets += 1;
                let ticket = state.tickets;
                self.ticket = Some(ticket);
                state.line.push_back(WaitingSend {
                    ticket,
                    waker: Some(waker),
                });
                return (Poll::Pending, None);
            }
            let replaced = state.line[position].waker.replace(waker);
            (Poll::Pending, replaced)
        });
        drop(replaced);
        if polled.is_ready() {
            self.ticket = None;
            self.keeps_alive = None;
        } else if self.keeps_alive.is_none() {
            self.keeps_alive = Handle::try_current().map(|handle| handle.remote());
        }
        polled
    }
}

impl<T> Future for DistantSending<T> {
    type Output = Result<(), Closed<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_send(cx)
    }
}

// The value is never pinned.
impl<T> Unpin for DistantSending<T> {}

impl<T> Drop for DistantSending<T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let channel = &self.sender.channel;
        let waiting = channel.change(|state, wakes| {
            let position = state.position(Some(ticket));
            let waiting = state.line.remove(position);
            // If it was admitted, its room is for the next in line.
            state.admit(channel.capacity, wakes);
            waiting
        });
        drop(waiting);
    }
}

impl<T> fmt::Debug for DistantSending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.ticket.is_some();
        write!(f, "DistantSending(waits: {waits})")
    }
}

/// The receiving side of a [`distant_channel`]: a stream of what the other loops send.
///
/// ```
/// use futures_util::StreamExt as _;
/// use oneloop::aio::block_on;
/// use oneloop::sync::distant_channel;
///
/// let (sender, receiver) = distant_channel(3);
/// let other = std::thread::spawn(move || {
///     (1..=3).for_each(|number| sender.send_blocking(number).unwrap());
/// });
/// let doubled: Vec<_> = block_on(receiver.map(|number| number * 2).collect());
/// assert_eq!(doubled, [2, 4, 6]);
/// # other.join().unwrap();
/// ```
pub struct DistantReceiver<T> {
    channel: Arc<Channel<T>>,
    is_referenced: bool,
    /// The loop on which it has waited, which it keeps alive.
    home: Option<(ThreadId, Remote)>,
}

impl<T> DistantReceiver<T> {
    /// Waits for a value. Returns `None` when no value is left and all senders are gone.
    ///
    /// Cancel safe: a receive that is dropped before it is ready has taken no value.
    #[doc(alias = "recv")]
    pub fn receive(&mut self) -> impl Future<Output = Option<T>> {
        poll_fn(|cx| self.poll_receive(cx))
    }

    /// Waits for a value: see [`DistantReceiver::receive`].
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let channel = &self.channel;
        let (polled, replaced) = channel.change(|state, wakes| match state.take(channel, wakes) {
            Ok(value) => (Poll::Ready(Some(value)), None),
            Err(TryReceiveError::Closed) => (Poll::Ready(None), None),
            Err(TryReceiveError::Empty) => (Poll::Pending, state.receiver.replace(waker)),
        });
        drop(replaced);
        match polled {
            Poll::Pending => self.stay_alive(),
            Poll::Ready(None) => self.home = None,
            Poll::Ready(Some(_)) => {}
        }
        polled
    }

    /// Takes the next value, if there is one.
    ///
    /// # Errors
    /// [`TryReceiveError`] says whether a value may still come.
    pub fn try_receive(&mut self) -> Result<T, TryReceiveError> {
        let channel = &self.channel;
        channel.change(|state, wakes| state.take(channel, wakes))
    }

    /// Takes all values that are there, with one look at the lock.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        let channel = &self.channel;
        let values = channel.change(|state, wakes| {
            let values = mem::take(&mut state.values);
            state.admit(channel.capacity, wakes);
            values
        });
        values.into_iter()
    }

    /// As [`DistantReceiver::receive`], but blocks the thread: for threads without a loop.
    ///
    /// # Panics
    /// Inside a loop, because it would block that loop.
    #[doc(alias = "blocking_recv")]
    #[track_caller]
    pub fn receive_blocking(&mut self) -> Option<T> {
        refuse_in_loop(
            "receive_blocking would block the loop that runs here: await receive instead",
        );
        park_until(|cx| self.poll_receive(cx))
    }

    /// Closes the channel: sends fail from now on, and what was sent before is still received. Of
    /// two threads, one that sends and one that closes, one is first, so no value is lost between
    /// them.
    pub fn close(&mut self) {
        self.channel.close();
    }

    /// Sets whether the receiver keeps its loop alive, from the first wait until it is dropped or
    /// the channel is closed. It does by default.
    #[doc(alias = "unref")]
    pub fn set_referenced(&mut self, referenced: bool) {
        self.is_referenced = referenced;
        if !referenced {
            self.home = None;
        } else if self.channel.lock().receiver.is_some() {
            self.stay_alive();
        }
    }

    /// Returns the number of values in the channel.
    pub fn len(&self) -> usize {
        self.channel.lock().values.len()
    }

    /// True if the channel has no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the loop on which it waits alive.
    fn stay_alive(&mut self) {
        let here = thread::current().id();
        let is_here = |(home, _): &(ThreadId, Remote)| *home == here;
        if self.is_referenced && !self.home.as_ref().is_some_and(is_here) {
            let handle = Handle::try_current();
            self.home = handle.map(|handle| (here, handle.remote()));
        }
    }
}

/// Ends when no value is left and all senders are gone.
impl<T> Stream for DistantReceiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_receive(cx)
    }
}

impl<T> Drop for DistantReceiver<T> {
    fn drop(&mut self) {
        self.close(); // first, so that no value comes after those that are dropped here
        self.drain().for_each(drop_guarded);
    }
}

impl<T> fmt::Debug for DistantReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.len();
        write!(f, "DistantReceiver({len} of {})", self.channel.capacity)
    }
}
