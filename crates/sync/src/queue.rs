//! Values from many tasks to many tasks.

use crate::order::{Items, Priorities};
use crate::queue_state::{Empty, NothingUnfinished, QueueState};
use crate::waiters::{SharedState, Ticket};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A queue from many tasks to many tasks: gevent's and eventlet's `Queue`, in all its kinds.
///
/// Getters are woken in the order in which they came, and so are putters. As in gevent and
/// eventlet, the running task may take a value for which another task was woken; the woken task
/// then keeps its place in line. So of two tasks that get in a loop, one may take everything that
/// was put meanwhile. [`Queue::fair`] makes them take turns.
///
/// | | gevent | eventlet |
/// |---|---|---|
/// | [`Queue::unbounded`] | `Queue()`, `Queue(0)` | `Queue()` |
/// | [`Queue::bounded`] | `Queue(n)` | |
/// | [`Queue::handing_over`] | | `Queue(n)` |
/// | [`Queue::rendezvous`] | `Channel()` | `Queue(0)` |
/// | [`Queue::lifo`], [`Queue::priority`] | `LifoQueue`, `PriorityQueue` | the same |
/// | [`Queue::task_done`], [`Queue::join`] | `JoinableQueue` | `Queue` |
///
/// The queue is borrowed while it compares values of a [`Queue::priority`] and while
/// [`Queue::peek`] clones one: a `cmp` or `clone` that uses the same queue panics.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::Queue;
/// let mut event_loop = EventLoop::new()?;
/// let queue = Queue::bounded(2);
/// let names = queue.clone();
/// event_loop.handle().spawn(async move {
///     for name in ["a", "b", "c"] {
///         names.put(name).await; // the third put waits for room
///     }
/// });
/// event_loop.block_on(async {
///     assert_eq!(queue.get().await, "a");
///     assert_eq!(queue.get().await, "b");
///     assert_eq!(queue.get().await, "c");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("mpsc", "mpmc", "LifoQueue", "PriorityQueue", "SimpleQueue"))]
#[doc(alias("JoinableQueue", "async_channel"))]
pub struct Queue<T> {
    state: SharedState<QueueState<T>>,
}

impl<T> Queue<T> {
    /// Creates a queue that always has room: a put never waits.
    pub fn unbounded() -> Self {
        Queue::with(Items::Fifo(VecDeque::new()), None)
    }

    /// Creates a queue with room for `capacity` values. A capacity of 0 is a [`Queue::rendezvous`],
    /// as in eventlet. (gevent's `Queue(0)` is unbounded.)
    pub fn bounded(capacity: usize) -> Self {
        Queue::with(Items::Fifo(VecDeque::new()), Some(capacity))
    }

    /// Creates a bounded queue whose waiting putters hold their values out: a getter that finds the
    /// queue empty takes the first held-out value, before its putter continues. This is eventlet's
    /// `Queue(n)`.
    ///
    /// ```
    /// use oneloop::EventLoop;
    /// use oneloop::sync::Queue;
    /// let mut event_loop = EventLoop::new()?;
    /// let queue = Queue::handing_over(1);
    /// let numbers = queue.clone();
    /// event_loop.handle().spawn(async move {
    ///     numbers.put(1).await;
    ///     numbers.put(2).await; // waits for room
    /// });
    /// event_loop.block_on(async {
    ///     oneloop::core::yield_now().await;
    ///     assert_eq!(queue.try_get(), Some(1));
    ///     assert_eq!(queue.try_get(), Some(2)); // `bounded` would have to wait for the putter
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn handing_over(capacity: usize) -> Self {
        let queue = Queue::bounded(capacity);
        queue.state.change(|state, _| state.hold_out());
        queue
    }

    /// Creates a queue without room: a put completes when a getter has the value.
    ///
    /// The getter continues before the putter, and the putter continues before another getter takes
    /// the next value, as in gevent and eventlet. So a get always waits, if only for tasks that are
    /// ready.
    #[doc(alias = "Channel")]
    pub fn rendezvous() -> Self {
        Queue::bounded(0)
    }

    /// Creates a queue whose last value in is the first out. `None` sets no limit.
    pub fn lifo(capacity: Option<usize>) -> Self {
        Queue::with(Items::Lifo(Vec::new()), capacity)
    }

    /// Creates a queue whose smallest value is the first out and, among equal values, the one that
    /// was put first. `None` sets no limit.
    pub fn priority(capacity: Option<usize>) -> Self
    where
        T: Ord,
    {
        Queue::with(Items::Priority(Priorities::default()), capacity)
    }

    /// Makes the queue fair: a task that comes waits behind the waiters in line, even if there is a
    /// value or room that they have not taken yet. So getters take turns, and so do putters.
    ///
    /// Call it when the queue is created. A rendezvous is always fair.
    ///
    /// ```
    /// use oneloop::core::yield_now;
    /// use oneloop::EventLoop;
    /// use oneloop::sync::Queue;
    /// let mut event_loop = EventLoop::new()?;
    /// for (queue, left) in [(Queue::unbounded(), None), (Queue::unbounded().fair(), Some(2))] {
    ///     let both = queue.clone();
    ///     event_loop.handle().spawn(async move { (both.get().await, both.get().await) });
    ///     let once = queue.clone();
    ///     let once = event_loop.handle().spawn(async move { once.get().await });
    ///     event_loop.block_on(async {
    ///         yield_now().await; // until all wait
    ///         queue.put(1).await;
    ///         queue.put(2).await;
    ///         yield_now().await;
    ///     });
    ///     assert_eq!(once.is_finished(), left.is_some());
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fair(self) -> Self {
        self.state.change(|state, _| state.make_fair());
        self
    }

    fn with(items: Items<T>, capacity: Option<usize>) -> Self {
        Queue {
            state: SharedState::new(QueueState::new(items, capacity)),
        }
    }

    /// Waits for room, and puts the value in.
    ///
    /// Cancel safe: a put that is dropped before it is ready drops the value, too. (At a
    /// rendezvous, a getter may have the value already.)
    #[doc(alias = "push")]
    pub fn put(&self, value: T) -> Put<T> {
        Put {
            queue: self.clone(),
            value: Some(value),
            ticket: None,
        }
    }

    /// Waits for a value, and takes it. Cancel safe: a get that is dropped before it is ready has
    /// taken none.
    #[doc(alias("pop", "recv"))]
    pub fn get(&self) -> Get<T> {
        Get {
            queue: self.clone(),
            ticket: None,
        }
    }

    /// Waits for a value, and returns a clone of it; the next [`Queue::get`] takes the value. It
    /// waits in line with the getters. Cancel safe.
    pub fn peek(&self) -> Peek<T>
    where
        T: Clone,
    {
        Peek {
            queue: self.clone(),
            ticket: None,
        }
    }

    /// Puts the value in, if there is room; at a rendezvous, if a getter waits.
    ///
    /// # Errors
    /// [`Full`] returns the value.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), Full<T>> {
        let put = self
            .state
            .change(|state, effects| state.try_put(value, effects));
        put.map_err(Full)
    }

    /// Takes the next value, if there is one. At a rendezvous, it takes only a value that no getter
    /// was woken for.
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Option<T> {
        self.state.change(QueueState::try_get).ok()
    }

    /// Returns a clone of the value that [`Queue::try_get`] would take.
    pub fn try_peek(&self) -> Option<T>
    where
        T: Clone,
    {
        self.state.look(QueueState::try_peek)
    }

    /// Returns the number of values in the queue. A rendezvous has a value only between a
    /// [`Queue::try_put`] and the run of the getter that it woke; other values stay with their
    /// putters.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.state.look(QueueState::len)
    }

    /// True if the queue has no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the queue has no room. A rendezvous never has any.
    pub fn is_full(&self) -> bool {
        self.capacity()
            .is_some_and(|capacity| self.len() >= capacity)
    }

    /// Returns the maximum number of values: `None` for no limit, 0 for a rendezvous.
    pub fn capacity(&self) -> Option<usize> {
        self.state.look(QueueState::capacity)
    }

    /// Changes the maximum number of values, and wakes the putters that now have room: eventlet's
    /// `resize`. Values in the queue stay there, even if they are more than the new maximum.
    ///
    /// # Panics
    /// If `capacity` is `Some(0)`, unless this is a [`Queue::handing_over`].
    #[track_caller]
    pub fn set_capacity(&self, capacity: Option<usize>) {
        // Otherwise no put could complete: there is neither room nor a held-out value for a getter.
        assert!(
            capacity != Some(0) || self.state.look(QueueState::holds_out),
            "a queue that does not hand over needs room"
        );
        self.state
            .change(|state, effects| state.set_capacity(capacity, effects));
    }

    /// Returns the number of waiters in [`Queue::get`] and [`Queue::peek`] for which there is no
    /// value.
    pub fn getters(&self) -> usize {
        self.state.look(QueueState::getters)
    }

    /// Returns the number of waiters in [`Queue::put`] for which there is no room.
    pub fn putters(&self) -> usize {
        self.state.look(QueueState::putters)
    }

    /// Reports that the work on one value is done: see [`Queue::join`].
    ///
    /// # Errors
    /// [`TaskDoneTooOften`] if the work on every value that was put is already reported as done.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        let done = self.state.change(QueueState::task_done);
        done.map_err(|NothingUnfinished| TaskDoneTooOften)
    }

    /// Returns the number of values that were put and for which [`Queue::task_done`] was not
    /// called.
    pub fn unfinished(&self) -> usize {
        self.state.look(QueueState::unfinished)
    }

    /// Waits until [`Queue::task_done`] has been called for every value that was put. Cancel safe.
    ///
    /// ```
    /// use oneloop::EventLoop;
    /// use oneloop::sync::Queue;
    /// let mut event_loop = EventLoop::new()?;
    /// let jobs = Queue::unbounded();
    /// jobs.try_put("sweep").unwrap();
    /// let todo = jobs.clone();
    /// event_loop.handle().spawn(async move {
    ///     loop {
    ///         println!("{}", todo.get().await);
    ///         todo.task_done().unwrap();
    ///     }
    /// });
    /// event_loop.block_on(jobs.join());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join(&self) -> Join<T> {
        Join {
            queue: self.clone(),
            ticket: None,
        }
    }

    /// Returns how many values a task that comes now could get, and how many it could put.
    pub(crate) fn free(&self) -> (usize, usize) {
        self.state.look(QueueState::free)
    }

    /// As [`Queue::try_get`]; the error says whether a value may still come.
    pub(crate) fn try_take(&self) -> Result<T, Empty> {
        self.state.change(QueueState::try_get)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.look(QueueState::is_closed)
    }

    /// Makes every later put fail. Getters still get the values that are in the queue.
    pub(crate) fn close(&self) {
        self.state.change(QueueState::close);
    }

    /// Drops all values, since no task will get them any more.
    pub(crate) fn clear(&self) {
        let never_got = self.state.change(QueueState::clear);
        drop(never_got); // foreign code, so after the borrow
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            state: self.state.clone(),
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue::unbounded()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("getters", &self.getters())
            .field("putters", &self.putters())
            .finish_non_exhaustive()
    }
}

/// The future of [`Queue::put`]; it takes its ticket when it is first polled.
///
/// # Panics
/// If it is polled again after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct Put<T> {
    queue: Queue<T>,
    /// `None` once the value is an item of the queue, or held out in the line.
    value: Option<T>,
    ticket: Option<Ticket<Option<T>>>,
}

impl<T> Put<T> {
    /// Returns the value as the error when the queue is closed.
    pub(crate) fn poll_put(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T>> {
        let Self {
            queue,
            value,
            ticket,
        } = self;
        assert!(
            value.is_some() || ticket.is_some(),
            "a put was polled after it was ready"
        );
        let state = &queue.state;
        state.poll(cx, |state, waker, effects| {
            state.poll_put(ticket, value, waker, effects)
        })
    }
}

// A value is moved into the queue and never pinned, so `T` need not be `Unpin`.
impl<T> Unpin for Put<T> {}

impl<T> Future for Put<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let put = self.poll_put(cx);
        put.map(|put| assert!(put.is_ok(), "only a channel's queue closes"))
    }
}

impl<T> Drop for Put<T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let state = &self.queue.state;
            let held_out = state.change(|state, effects| state.give_up_put(ticket, effects));
            drop(held_out); // foreign code, so after the borrow
        }
    }
}

impl<T> fmt::Debug for Put<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Put({:?})", self.queue)
    }
}

/// The future of [`Queue::get`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Get<T> {
    queue: Queue<T>,
    ticket: Option<Ticket<()>>,
}

impl<T> Get<T> {
    /// Returns `None` when the queue is closed and empty.
    pub(crate) fn poll_get(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.poll(cx, |state, waker, effects| {
            state.poll_get(ticket, waker, effects)
        })
    }
}

impl<T> Future for Get<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let got = self.poll_get(cx);
        got.map(|got| got.expect("only a channel's queue closes"))
    }
}

impl<T> Drop for Get<T> {
    fn drop(&mut self) {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.change(|state, effects| state.give_up_get(ticket, effects));
    }
}

/// The future of [`Queue::peek`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Peek<T> {
    queue: Queue<T>,
    ticket: Option<Ticket<()>>,
}

impl<T: Clone> Future for Peek<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { queue, ticket } = &mut *self;
        let state = &queue.state;
        state.poll(cx, |state, waker, effects| {
            state.poll_peek(ticket, waker, effects)
        })
    }
}

impl<T> Drop for Peek<T> {
    fn drop(&mut self) {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.change(|state, effects| state.give_up_peek(ticket, effects));
    }
}

/// The future of [`Queue::join`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Join<T> {
    queue: Queue<T>,
    ticket: Option<Ticket<()>>,
}

impl<T> Future for Join<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { queue, ticket } = self.get_mut();
        let state = &queue.state;
        state.poll(cx, |state, waker, effects| {
            state.poll_join(ticket, waker, effects)
        })
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.change(|state, effects| state.give_up_join(ticket, effects));
    }
}

/// The error of [`Queue::try_put`]: there was no room. The error returns the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}
impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}
impl<T> std::error::Error for Full<T> {}

/// The error of [`Queue::task_done`]: it was called more often than values were put. Python raises
/// `ValueError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDoneTooOften;

impl fmt::Display for TaskDoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than values were put")
    }
}
impl std::error::Error for TaskDoneTooOften {}
