//! The state of a queue: its items, its two lines of waiters, and the rules about whose turn it is.

use crate::gate::Gate;
use crate::order::Items;
use crate::turnstile::Turnstile;
use crate::waiters::{Effects, Ticket};
use std::task::{Poll, Waker};

/// The state of a queue: two turnstiles around its items.
///
/// ```text
///            putters                   items                   getters
///  put ──▶ c ─ b ┃ a ──▶ room ──▶ [ 3 ─ 2 ─ 1 ] ──▶ values ──▶ x ─ y ┃ z ◀── get
///         waiting ┃ admitted,                      admitted, ┃ waiting
///                   one at a time                  one per value
/// ```
///
/// - **The running task takes.** A getter takes its value, and a putter its room, when it runs, not
///   when it is woken. So a queue with room for one alternates between putting and getting, and a
///   getter takes the value of a priority queue that is the smallest when it runs.
/// - **Barging.** The running task may take a value or room for which a waiter was woken. In a fair
///   queue, a task that comes waits behind the waiters in line.
/// - **Putters are admitted one by one**, each after the previous one has run, and so after the
///   getter that the previous one woke: putters and getters take turns, as in gevent.
/// - **Held-out values.** At a rendezvous, and in eventlet's bounded queue, a waiting putter leaves
///   its value in the line. A getter that finds no item takes the first held-out value, and
///   continues before its putter does.
///
/// A put that has to wait:
///
/// ```text
///          room                                   polled
///  Waits ─────────▶ Admitted ───────────────────────────▶ done: its value is an item
///   │  ▲             │    │
///   │  └─────────────┘    │
///   │  another task took  │
///   │  the room           │
///   ▼                     ▼                       polled
///  a getter takes its held-out value ──▶ Dismissed ─────▶ done: the getter has the value
///
///  the queue closes: the next poll returns the value as the error, unless a getter has it
///  dropped: drops the value, unless a getter has it; the next putter is admitted
/// ```
pub(crate) struct QueueState<T> {
    items: Items<T>,
    /// The maximum number of items; `None` for no limit, 0 for a rendezvous.
    capacity: Option<usize>,
    /// Counts values: the items, and the values that putters hold out.
    getters: Turnstile,
    /// How many of the getters' tickets belong to peeks, which take no value.
    peekers: usize,
    /// Counts the items that still fit. A rendezvous has no room.
    putters: Turnstile<Option<T>>,
    /// Waiting putters hold their values out.
    holds_out: bool,
    /// A task without a ticket may not take a value or room for which a waiter was woken.
    fair: bool,
    /// How many values were put and not reported as done: see `task_done`.
    unfinished: usize,
    /// Open while `unfinished` is 0.
    finished: Gate,
    /// All senders of a channel are gone, or all receivers.
    closed: bool,
}

/// Why there is no value to get.
pub(crate) enum Empty {
    ForNow,
    Forever,
}

/// `task_done` was called when no value was unfinished.
pub(crate) struct NothingUnfinished;

// ---------------------------------------------------------------- the whole queue

impl<T> QueueState<T> {
    pub(crate) fn new(items: Items<T>, capacity: Option<usize>) -> Self {
        QueueState {
            items,
            capacity,
            getters: Turnstile::new(0),
            peekers: 0,
            putters: Turnstile::one_by_one(capacity.unwrap_or(usize::MAX)),
            // Without room, a value can get to a getter only from the line.
            holds_out: capacity == Some(0),
            fair: false,
            unfinished: 0,
            finished: Gate::new(true),
            closed: false,
        }
    }

    pub(crate) fn hold_out(&mut self) {
        self.holds_out = true;
    }

    pub(crate) fn make_fair(&mut self) {
        self.fair = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn holds_out(&self) -> bool {
        self.holds_out
    }

    pub(crate) fn set_capacity(&mut self, capacity: Option<usize>, effects: &mut Effects) {
        self.capacity = capacity;
        self.count_room(effects);
    }

    pub(crate) fn getters(&self) -> usize {
        self.getters.waiting()
    }

    pub(crate) fn putters(&self) -> usize {
        self.putters.waiting()
    }

    /// How many values a task that comes now could get, and how many it could put.
    pub(crate) fn free(&self) -> (usize, usize) {
        (self.getters.free(), self.putters.free())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Makes every later put fail. Getters still get the values that are in the queue.
    pub(crate) fn close(&mut self, effects: &mut Effects) {
        self.closed = true;
        // All of them fail, so each has to run, whether or not there is room for it.
        self.putters.line.wake_all(effects);
        // With values left, getters wait on: the one that takes the last value wakes the others.
        if self.is_drained() {
            self.getters.line.wake_all(effects);
        }
    }

    /// Removes all items. The caller drops them outside of the borrow: a drop is foreign code.
    pub(crate) fn clear(&mut self, effects: &mut Effects) -> Vec<T> {
        let taken = std::iter::from_fn(|| {
            // Held-out values stay in the line: their putters get them back as the error.
            self.items.next()?;
            let value = self.pop(effects);
            self.getters.remove(effects);
            Some(value)
        });
        taken.collect()
    }

    fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    /// True if the queue is closed and has neither items nor held-out values.
    fn is_drained(&self) -> bool {
        self.closed && self.getters.available() == 0
    }

    fn count_room(&mut self, effects: &mut Effects) {
        let room = match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.items.len()),
            None => usize::MAX,
        };
        self.putters.set(room, effects);
    }
}

// ---------------------------------------------------------------- putting

impl<T> QueueState<T> {
    pub(crate) fn try_put(&mut self, value: T, effects: &mut Effects) -> Result<(), T> {
        let may_pass = match self.is_rendezvous() {
            // A waiting getter takes this very value. No putter may be in line before it.
            true => self.awaits_value() && self.putters.line.waiting() == 0,
            false => self.may_put(None),
        };
        if self.closed || !may_pass {
            return Err(value);
        }
        // A rendezvous has no room to take: its value is an item only until the getter runs.
        if !self.is_rendezvous() {
            self.putters.pass(&mut None, effects);
        }
        self.push(value, effects);
        Ok(())
    }

    /// Returns the value as the error when the queue is closed.
    pub(crate) fn poll_put(
        &mut self,
        ticket: &mut Option<Ticket<Option<T>>>,
        value: &mut Option<T>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<Result<(), T>> {
        if self.closed {
            let offered = ticket.take().and_then(|t| self.give_up_put(t, effects));
            return Poll::Ready(match value.take().or(offered) {
                Some(value) => Err(value),
                None => Ok(()), // a getter has taken it
            });
        }
        if let Some(dismissed) = ticket.take_if(|ticket| self.putters.line.is_dismissed(*ticket)) {
            self.putters.give_up(dismissed, effects);
            return Poll::Ready(Ok(()));
        }
        if self.may_put(*ticket) {
            if let Some(value) = value.take() {
                self.push(value, effects);
            }
            if let Some(held_out) = self.putters.pass(ticket, effects).flatten() {
                // Not `push`: the getters' turnstile counted this value when it was held out.
                self.items.push(held_out);
                self.count_unfinished();
            }
            return Poll::Ready(Ok(()));
        }
        let Some(waker) = waker.take() else {
            return Poll::Pending;
        };
        let held_out = value.take_if(|_| self.holds_out);
        let is_held_out = held_out.is_some();
        self.putters.line.wait(ticket, waker, || held_out, effects);
        if is_held_out {
            self.getters.add(effects);
        }
        Poll::Pending
    }

    /// True if a getter waits for which no item was put. A peek leaves its value, so it does not
    /// count.
    fn awaits_value(&self) -> bool {
        self.getters.line.len() - self.peekers > self.items.len()
    }

    fn may_put(&self, ticket: Option<Ticket<Option<T>>>) -> bool {
        let barges = !self.fair && ticket.is_none() && self.putters.available() > 0;
        barges || self.putters.may_pass(ticket)
    }

    /// Returns the value if it was held out and no getter has taken it.
    pub(crate) fn give_up_put(
        &mut self,
        ticket: Ticket<Option<T>>,
        effects: &mut Effects,
    ) -> Option<T> {
        if self.putters.line.is_dismissed(ticket) {
            return self.putters.give_up(ticket, effects); // None: a getter has it
        }
        let held_out = self.putters.give_up(ticket, effects);
        if held_out.is_some() {
            self.getters.remove(effects);
        }
        held_out
    }

    fn push(&mut self, value: T, effects: &mut Effects) {
        self.items.push(value);
        self.count_unfinished();
        self.getters.add(effects);
    }
}

// ---------------------------------------------------------------- getting

impl<T> QueueState<T> {
    pub(crate) fn try_get(&mut self, effects: &mut Effects) -> Result<T, Empty> {
        if self.may_take() {
            let value = self.pop(effects);
            self.getters.pass(&mut None, effects);
            return Ok(value);
        }
        match self.is_drained() {
            true => Err(Empty::Forever),
            false => Err(Empty::ForNow),
        }
    }

    pub(crate) fn try_peek(&self) -> Option<T>
    where
        T: Clone,
    {
        match self.may_take() {
            true => self.next().cloned(),
            false => None,
        }
    }

    /// Returns `None` when the queue is closed and empty.
    pub(crate) fn poll_get(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<Option<T>> {
        if self.may_get(*ticket) {
            let value = self.pop(effects);
            self.getters.pass(ticket, effects);
            return Poll::Ready(Some(value));
        }
        if self.is_drained() {
            self.give_up_get(ticket, effects);
            return Poll::Ready(None);
        }
        self.wait_to_get(ticket, waker, effects);
        Poll::Pending
    }

    /// As [`QueueState::poll_get`], but the value stays: giving up admits the next getter for it.
    pub(crate) fn poll_peek(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<T>
    where
        T: Clone,
    {
        if self.may_get(*ticket) {
            // The queue stays borrowed while `T` is cloned: rule 1 names this exception.
            let value = self.next().cloned();
            self.give_up_peek(ticket, effects);
            let value = value.expect("the getters' turnstile counts what there is");
            return Poll::Ready(value);
        }
        let was_in_line = ticket.is_some();
        self.wait_to_get(ticket, waker, effects);
        self.peekers += usize::from(ticket.is_some() && !was_in_line);
        Poll::Pending
    }

    /// True if the holder of this ticket, or a task that comes, may get a value now.
    // At a rendezvous, and while a putter whose held-out value was taken has not run, a task that
    // comes joins the line even if there is a value. So each put completes before another getter
    // takes the next value, as in gevent and eventlet.
    fn may_get(&self, ticket: Option<Ticket<()>>) -> bool {
        let putter_has_to_run = self.items.len() == 0 && self.putters.line.dismissed() > 0;
        match ticket {
            Some(_) => self.getters.may_pass(ticket),
            None => !(self.is_rendezvous() || putter_has_to_run) && self.may_take(),
        }
    }

    /// True if there is a value for a task that is not in line.
    fn may_take(&self) -> bool {
        let barges = !self.fair && !self.is_rendezvous() && self.getters.available() > 0;
        barges || self.getters.may_pass(None)
    }

    fn wait_to_get(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) {
        if let Some(waker) = waker.take() {
            self.getters.line.wait(ticket, waker, || (), effects);
            // At a rendezvous there may be a value already: the getter is then admitted, and so
            // woken and polled again.
            self.getters.settle(effects);
        }
    }

    pub(crate) fn give_up_get(&mut self, ticket: &mut Option<Ticket<()>>, effects: &mut Effects) {
        if let Some(ticket) = ticket.take() {
            self.getters.give_up(ticket, effects);
        }
    }

    pub(crate) fn give_up_peek(&mut self, ticket: &mut Option<Ticket<()>>, effects: &mut Effects) {
        self.peekers -= usize::from(ticket.is_some());
        self.give_up_get(ticket, effects);
    }

    /// The value that `pop` would return.
    fn next(&self) -> Option<&T> {
        let held_out = || self.putters.line.first_held()?.as_ref();
        self.items.next().or_else(held_out)
    }

    /// Takes the next value. The caller removes it from the getters' turnstile.
    fn pop(&mut self, effects: &mut Effects) -> T {
        let value = match self.items.pop() {
            Some(value) => {
                self.count_room(effects);
                value
            }
            None => {
                self.count_unfinished();
                let held_out = self.putters.line.dismiss(effects).and_then(Option::take);
                self.putters.settle(effects);
                held_out.expect("the getters' turnstile counts what there is")
            }
        };
        // This is the last value of a closed queue, so all other getters are due to get `None`.
        // (The caller has not removed it from the turnstile yet.)
        if self.closed && self.getters.available() == 1 {
            self.getters.line.wake_all(effects);
        }
        value
    }
}

// ---------------------------------------------------------------- task_done and join

impl<T> QueueState<T> {
    fn count_unfinished(&mut self) {
        self.unfinished += 1;
        self.finished.shut();
    }

    pub(crate) fn task_done(&mut self, effects: &mut Effects) -> Result<(), NothingUnfinished> {
        let left = self.unfinished.checked_sub(1);
        self.unfinished = left.ok_or(NothingUnfinished)?;
        if self.unfinished == 0 {
            self.finished.open(effects);
        }
        Ok(())
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(crate) fn poll_join(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<()> {
        self.finished.poll(ticket, waker, effects)
    }

    pub(crate) fn give_up_join(&mut self, ticket: &mut Option<Ticket<()>>, effects: &mut Effects) {
        self.finished.leave(ticket, effects);
    }
}
