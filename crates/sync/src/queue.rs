//! Values from those who have them to those who want them.

use crate::event::Gate;
use crate::order::{Items, Priorities};
use crate::turnstile::Turnstile;
use crate::waiters::{After, Shared, Ticket};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The two lines before a queue, and what is in it.
///
/// A value is taken, and room is used, by who gets or puts when it runs, not by who wakes it; in a fair
/// queue, what is there for those in line is for nobody else. So a queue of one alternates between
/// putting and getting, and the smallest value is the smallest when it is taken. Of those who wait for room, each is
/// woken when the one before has run, and so behind the getter that this one has woken: they take turns
/// with many of them, too, as in gevent. Where they hold their values out, a getter that finds none in
/// the queue takes the first of those, and goes on before its putter, as in eventlet.
pub(crate) struct State<T> {
    items: Items<T>,
    capacity: Option<usize>,
    /// Waits for values: those in the queue and those that are held out in the other line.
    getters: Turnstile,
    /// Waits for room; at a rendezvous there is none.
    putters: Turnstile<Option<T>>,
    /// Who waits for room holds its value out, until there is room or a getter takes it.
    holds_out: bool,
    /// What is there for those in line is not for who comes.
    fair: bool,
    unfinished: usize,
    finished: Gate,
    /// One side of a channel is gone.
    closed: bool,
}

impl<T> State<T> {
    fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    fn count_unfinished(&mut self) {
        self.unfinished += 1;
        self.finished.shut();
    }

    fn push(&mut self, value: T, after: &mut After) {
        self.items.push(value);
        self.count_unfinished();
        self.getters.add(after);
    }

    fn count_room(&mut self, after: &mut After) {
        let room = match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.items.len()),
            None => usize::MAX,
        };
        self.putters.set(room, after);
    }

    fn next(&self) -> Option<&T> {
        let held_out = || self.putters.line.first_held()?.as_ref();
        self.items.next().or_else(held_out)
    }

    /// The next value, for somebody who may have it.
    fn pop(&mut self, after: &mut After) -> T {
        let value = match self.items.pop() {
            Some(value) => {
                self.count_room(after);
                value
            }
            None => {
                self.count_unfinished();
                let held_out = self.putters.line.dismiss(after).and_then(Option::take);
                self.putters.settle(after);
                held_out.expect("the getters' turnstile counts what there is")
            }
        };
        if self.closed && self.getters.available() == 1 {
            self.getters.line.wake_all(after); // there is nothing to come
        }
        value
    }

    fn try_put(&mut self, value: T, after: &mut After) -> Result<(), T> {
        let may_pass = match self.is_rendezvous() {
            true => self.getters.line.waiting() > 0 && self.putters.line.waiting() == 0,
            false => self.may_put(None),
        };
        if self.closed || !may_pass {
            return Err(value);
        }
        if !self.is_rendezvous() {
            self.putters.pass(&mut None, after);
        }
        self.push(value, after);
        Ok(())
    }

    /// Gives the value back when the queue is closed.
    fn poll_put(
        &mut self,
        ticket: &mut Option<Ticket<Option<T>>>,
        value: &mut Option<T>,
        waker: &mut Option<Waker>,
        after: &mut After,
    ) -> Poll<Result<(), T>> {
        if self.closed {
            let offered = ticket.take().and_then(|t| self.give_up_put(t, after));
            return Poll::Ready(match value.take().or(offered) {
                Some(value) => Err(value),
                None => Ok(()), // a getter has taken it
            });
        }
        if let Some(through) = ticket.take_if(|ticket| self.putters.line.is_dismissed(*ticket)) {
            self.putters.give_up(through, after);
            return Poll::Ready(Ok(()));
        }
        if self.may_put(*ticket) {
            if let Some(value) = value.take() {
                self.push(value, after);
            }
            if let Some(held_out) = self.putters.pass(ticket, after).flatten() {
                self.items.push(held_out); // the getters know of it
                self.count_unfinished();
            }
            return Poll::Ready(Ok(()));
        }
        let Some(waker) = waker.take() else {
            return Poll::Pending;
        };
        let held_out = value.take_if(|_| self.holds_out);
        let is_held_out = held_out.is_some();
        self.putters.line.wait(ticket, waker, || held_out, after);
        if is_held_out {
            self.getters.add(after);
        }
        Poll::Pending
    }

    fn may_put(&self, ticket: Option<Ticket<Option<T>>>) -> bool {
        let barges = !self.fair && ticket.is_none() && self.putters.available() > 0;
        barges || self.putters.may_pass(ticket)
    }

    /// Gives back a value that was held out, and that no getter has taken.
    fn give_up_put(&mut self, ticket: Ticket<Option<T>>, after: &mut After) -> Option<T> {
        if self.putters.line.is_dismissed(ticket) {
            return self.putters.give_up(ticket, after); // there is nothing left
        }
        let held_out = self.putters.give_up(ticket, after);
        if held_out.is_some() {
            self.getters.remove(after);
        }
        held_out
    }

    fn try_get(&mut self, after: &mut After) -> Result<T, Empty> {
        if self.may_take() {
            let value = self.pop(after);
            self.getters.pass(&mut None, after);
            return Ok(value);
        }
        match self.is_drained() {
            true => Err(Empty::ForEver),
            false => Err(Empty::ForNow),
        }
    }

    fn is_drained(&self) -> bool {
        self.closed && self.getters.available() == 0
    }

    /// None when the queue is closed, and nothing left in it.
    fn poll_get(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        after: &mut After,
    ) -> Poll<Option<T>> {
        if self.may_get(*ticket) {
            let value = self.pop(after);
            self.getters.pass(ticket, after);
            return Poll::Ready(Some(value));
        }
        if self.is_drained() {
            self.give_up_get(ticket, after);
            return Poll::Ready(None);
        }
        self.wait_to_get(ticket, waker, after);
        Poll::Pending
    }

    fn poll_peek(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        after: &mut After,
    ) -> Poll<T>
    where
        T: Clone,
    {
        if self.may_get(*ticket) {
            let value = self.next().cloned();
            self.give_up_get(ticket, after);
            let value = value.expect("the getters' turnstile counts what there is");
            return Poll::Ready(value);
        }
        self.wait_to_get(ticket, waker, after);
        Poll::Pending
    }

    /// Who comes waits in line for a moment, at a rendezvous and while somebody whose value was taken out
    /// of its hands has not run: so each put is through before the next value is got.
    fn may_get(&self, ticket: Option<Ticket<()>>) -> bool {
        let is_between = self.items.len() == 0 && self.putters.line.dismissed() > 0;
        match ticket {
            Some(_) => self.getters.may_pass(ticket),
            None => !(self.is_rendezvous() || is_between) && self.may_take(),
        }
    }

    /// True if there is a value for somebody who is not in line.
    fn may_take(&self) -> bool {
        let barges = !self.fair && !self.is_rendezvous() && self.getters.available() > 0;
        barges || self.getters.may_pass(None)
    }

    fn wait_to_get(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        after: &mut After,
    ) {
        if let Some(waker) = waker.take() {
            self.getters.line.wait(ticket, waker, || (), after);
            self.getters.settle(after); // at a rendezvous, something may be there
        }
    }

    fn give_up_get(&mut self, ticket: &mut Option<Ticket<()>>, after: &mut After) {
        if let Some(ticket) = ticket.take() {
            self.getters.give_up(ticket, after);
        }
    }
}

/// Why there is nothing to get.
pub(crate) enum Empty {
    ForNow,
    ForEver,
}

/// Values from many to many: gevent's and eventlet's `Queue`, with their kinds.
///
/// Getters are woken in the order in which they came, and so are putters. As in gevent and eventlet, who
/// runs takes what is there, though another one was woken for it, which then waits on in its place: of
/// two who get in a loop, one works off all that was put meanwhile. [`Queue::fair`] has them take turns.
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
/// The queue is borrowed while it compares values of a [`Queue::priority`] and while [`Queue::peek`]
/// clones one: a `cmp` or `clone` that uses the same queue panics.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::Queue;
/// let mut event_loop = EventLoop::new()?;
/// let queue = Queue::bounded(2);
/// let names = queue.clone();
/// event_loop.handle().spawn(async move {
///     for name in ["a", "b", "c"] {
///         names.put(name).await; // the third one waits for room
///     }
/// });
/// event_loop.block_on(async {
///     assert_eq!(queue.get().await, "a");
///     assert_eq!(queue.get().await, "b");
///     assert_eq!(queue.get().await, "c");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Queue<T> {
    pub(crate) state: Shared<State<T>>,
}

impl<T> Queue<T> {
    /// A queue in which there is always room: who puts never waits.
    pub fn unbounded() -> Self {
        Queue::with(Items::Fifo(VecDeque::new()), None)
    }

    /// A queue with room for that many; with none, it is [`Queue::rendezvous`], as in eventlet.
    /// (gevent's `Queue(0)` is unbounded.)
    pub fn bounded(capacity: usize) -> Self {
        Queue::with(Items::Fifo(VecDeque::new()), Some(capacity))
    }

    /// As [`Queue::bounded`], but who waits for room holds its value out: a getter that finds none in
    /// the queue takes it from there, before the putter has gone on. eventlet's `Queue(n)`.
    ///
    /// ```
    /// use oneloop_core::EventLoop;
    /// use oneloop_sync::Queue;
    /// let mut event_loop = EventLoop::new()?;
    /// let queue = Queue::handing_over(1);
    /// let numbers = queue.clone();
    /// event_loop.handle().spawn(async move {
    ///     numbers.put(1).await;
    ///     numbers.put(2).await; // waits for room
    /// });
    /// event_loop.block_on(async {
    ///     oneloop_core::yield_now().await;
    ///     assert_eq!(queue.try_get(), Some(1));
    ///     assert_eq!(queue.try_get(), Some(2)); // a bounded one has to wait for the putter
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn handing_over(capacity: usize) -> Self {
        let queue = Queue::bounded(capacity);
        queue.state.change(|state, _| state.holds_out = true);
        queue
    }

    /// A queue without room: who puts waits until a getter has the value. That one goes on first, and the
    /// next value is got when the putter has gone on, as in gevent and eventlet: a get always waits,
    /// though it be for those only who are ready.
    pub fn rendezvous() -> Self {
        Queue::bounded(0)
    }

    /// The last value in is the first out.
    pub fn lifo(capacity: Option<usize>) -> Self {
        Queue::with(Items::Lifo(Vec::new()), capacity)
    }

    /// The smallest value is the first out; of equals, the one that was put first.
    pub fn priority(capacity: Option<usize>) -> Self
    where
        T: Ord,
    {
        Queue::with(Items::Priority(Priorities::default()), capacity)
    }

    /// Lets who comes wait behind those in line, even if a value or room is there that is theirs and
    /// not used yet: those who get, and those who put, take turns. Of use when it is made; a rendezvous
    /// is fair in any case.
    ///
    /// ```
    /// use oneloop_core::{EventLoop, yield_now};
    /// use oneloop_sync::Queue;
    /// let mut event_loop = EventLoop::new()?;
    /// for (queue, left) in [(Queue::unbounded(), None), (Queue::unbounded().fair(), Some(2))] {
    ///     let both = queue.clone();
    ///     event_loop.handle().spawn(async move { (both.get().await, both.get().await) });
    ///     let once = queue.clone();
    ///     let once = event_loop.handle().spawn(async move { once.get().await });
    ///     event_loop.block_on(async {
    ///         yield_now().await; // all wait
    ///         queue.put(1).await;
    ///         queue.put(2).await;
    ///         yield_now().await;
    ///     });
    ///     assert_eq!(once.is_finished(), left.is_some());
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fair(self) -> Self {
        self.state.change(|state, _| state.fair = true);
        self
    }

    fn with(items: Items<T>, capacity: Option<usize>) -> Self {
        Queue {
            state: Shared::new(State {
                items,
                capacity,
                getters: Turnstile::new(0),
                putters: Turnstile::one_by_one(capacity.unwrap_or(usize::MAX)),
                holds_out: capacity == Some(0),
                fair: false,
                unfinished: 0,
                finished: Gate::new(true),
                closed: false,
            }),
        }
    }

    /// Waits for room, and puts the value in. Cancel safe: dropped before it is ready, it has not put
    /// the value, which is dropped with it. (At a rendezvous, a getter may have the value already.)
    pub fn put(&self, value: T) -> Put<T> {
        Put {
            queue: self.clone(),
            value: Some(value),
            ticket: None,
        }
    }

    /// Waits for a value, and takes it. Cancel safe: dropped before it is ready, it has taken none.
    pub fn get(&self) -> Get<T> {
        Get {
            queue: self.clone(),
            ticket: None,
        }
    }

    /// Waits for a value and gives a clone of it, which the next [`Queue::get`] takes. It waits in line
    /// with those who get. Cancel safe.
    pub fn peek(&self) -> Peek<T>
    where
        T: Clone,
    {
        Peek { get: self.get() }
    }

    /// Puts the value in, if there is room; at a rendezvous, if a getter waits.
    ///
    /// # Errors
    /// [`Full`] gives the value back.
    pub fn try_put(&self, value: T) -> Result<(), Full<T>> {
        let put = |state: &mut State<T>, after: &mut After| state.try_put(value, after);
        self.state.change(put).map_err(Full)
    }

    /// Takes the next value, if there is one; at a rendezvous, one that no getter was woken for.
    pub fn try_get(&self) -> Option<T> {
        self.state.change(State::try_get).ok()
    }

    /// A clone of what [`Queue::try_get`] would take.
    pub fn try_peek(&self) -> Option<T>
    where
        T: Clone,
    {
        self.state.look(|state| match state.may_take() {
            true => state.next().cloned(),
            false => None,
        })
    }

    /// How many values are in. At a rendezvous they stay with those who put them.
    pub fn len(&self) -> usize {
        self.state.look(|state| state.items.len())
    }

    /// True when no value is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when there is no room; a rendezvous never has any.
    pub fn is_full(&self) -> bool {
        self.capacity()
            .is_some_and(|capacity| self.len() >= capacity)
    }

    /// For how many values there is room; `None` is no end of it, 0 a rendezvous.
    pub fn capacity(&self) -> Option<usize> {
        self.state.look(|state| state.capacity)
    }

    /// Changes for how many values there is room, and wakes those for whom there is now: `resize` of
    /// eventlet. What is in stays, though it be more than there is room for.
    ///
    /// # Panics
    /// When there is to be no room at all, unless it is a [`Queue::handing_over`].
    #[track_caller]
    pub fn set_capacity(&self, capacity: Option<usize>) {
        self.state.change(|state, after| {
            assert!(
                capacity != Some(0) || state.holds_out,
                "a queue that does not hand over needs room"
            );
            state.capacity = capacity;
            state.count_room(after);
        });
    }

    /// How many wait for a value, by [`Queue::get`] or [`Queue::peek`], and there is none for them.
    pub fn getters(&self) -> usize {
        self.state.look(|state| state.getters.waiting())
    }

    /// How many wait for room, and there is none for them.
    pub fn putters(&self) -> usize {
        self.state.look(|state| state.putters.waiting())
    }

    /// Says that the work on one value that was taken is done: see [`Queue::join`].
    ///
    /// # Errors
    /// [`TaskDoneTooOften`] when it was said for all that were put.
    pub fn task_done(&self) -> Result<(), TaskDoneTooOften> {
        self.state.change(|state, after| {
            let left = state.unfinished.checked_sub(1);
            state.unfinished = left.ok_or(TaskDoneTooOften)?;
            if state.unfinished == 0 {
                state.finished.open(after);
            }
            Ok(())
        })
    }

    /// How many values were put for which [`Queue::task_done`] was not called.
    pub fn unfinished(&self) -> usize {
        self.state.look(|state| state.unfinished)
    }

    /// Waits until [`Queue::task_done`] was called for every value that was put. Cancel safe.
    ///
    /// ```
    /// use oneloop_core::EventLoop;
    /// use oneloop_sync::Queue;
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

    /// How many values somebody who comes now could get without waiting, and for how many more there is
    /// room.
    pub(crate) fn free(&self) -> (usize, usize) {
        self.state
            .look(|state| (state.getters.free(), state.putters.free()))
    }

    /// As [`Queue::try_get`], and whether it is of use to wait.
    pub(crate) fn try_take(&self) -> Result<T, Empty> {
        self.state.change(State::try_get)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.look(|state| state.closed)
    }

    /// Nothing will be put any more; what is in can still be got.
    pub(crate) fn close(&self) {
        self.state.change(|state, after| {
            state.closed = true;
            state.putters.line.wake_all(after);
            if state.is_drained() {
                state.getters.line.wake_all(after);
            }
        });
    }

    /// Nothing will be got any more.
    pub(crate) fn clear(&self) {
        let never = self.state.change(|state, after| {
            let taken = std::iter::from_fn(|| {
                state.items.next()?;
                let value = state.pop(after);
                state.getters.remove(after);
                Some(value)
            });
            taken.collect::<Vec<_>>()
        });
        drop(never);
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

/// The future of [`Queue::put`]; it takes its place in line when it is first polled.
///
/// # Panics
/// When it is polled again after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct Put<T> {
    queue: Queue<T>,
    /// None once it is in the queue or, at a rendezvous, in the line.
    value: Option<T>,
    ticket: Option<Ticket<Option<T>>>,
}

impl<T> Put<T> {
    /// Gives the value back when the queue is closed.
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
        state.poll(cx, |state, waker, after| {
            state.poll_put(ticket, value, waker, after)
        })
    }
}

// The value is never pinned.
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
            let offered = state.change(|state, after| state.give_up_put(ticket, after));
            drop(offered);
        }
    }
}

impl<T> fmt::Debug for Put<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Put({:?})", self.queue)
    }
}

/// The future of [`Queue::get`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Get<T> {
    queue: Queue<T>,
    ticket: Option<Ticket<()>>,
}

impl<T> Get<T> {
    /// None when the queue is closed, and nothing left in it.
    pub(crate) fn poll_get(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.poll(cx, |state, waker, after| {
            state.poll_get(ticket, waker, after)
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
        state.change(|state, after| state.give_up_get(ticket, after));
    }
}

/// The future of [`Queue::peek`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Peek<T> {
    /// It waits as those who get, and takes nothing.
    get: Get<T>,
}

impl<T: Clone> Future for Peek<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Get { queue, ticket } = &mut self.get_mut().get;
        let state = &queue.state;
        state.poll(cx, |state, waker, after| {
            state.poll_peek(ticket, waker, after)
        })
    }
}

/// The future of [`Queue::join`]; it takes its place in line when it is first polled.
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
        state.poll(cx, |state, waker, after| {
            state.finished.poll(ticket, waker, after)
        })
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        let Self { queue, ticket } = self;
        let state = &queue.state;
        state.change(|state, after| state.finished.leave(ticket, after));
    }
}

/// There was no room: gives the value back.
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

/// [`Queue::task_done`] was called more often than values were put: a `ValueError` in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDoneTooOften;

impl fmt::Display for TaskDoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than values were put")
    }
}
impl std::error::Error for TaskDoneTooOften {}
