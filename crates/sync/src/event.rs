//! Something happened; whoever waits for it goes on.

use crate::waiters::{After, Line, Shared, Ticket};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A flag to wait for: gevent's and threading's `Event`.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::Event;
/// let mut event_loop = EventLoop::new()?;
/// let ready = Event::new();
/// let told = ready.clone();
/// event_loop.handle().spawn(async move { told.set() });
/// event_loop.block_on(ready.until_set());
/// assert!(ready.is_set());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Event {
    gate: Shared<Gate>,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Self {
        Event {
            gate: Shared::new(Gate::new(false)),
        }
    }

    /// Wakes all who wait, first come first; who waits from here on goes on at once.
    pub fn set(&self) {
        self.gate.change(Gate::open);
    }

    /// Who waits from here on waits for the next [`Event::set`]. Who was woken by the last one goes on
    /// all the same, as in gevent.
    pub fn clear(&self) {
        self.gate.change(|gate, _| gate.shut());
    }

    /// True from [`Event::set`] to [`Event::clear`].
    pub fn is_set(&self) -> bool {
        self.gate.look(Gate::is_open)
    }

    /// How many wait and were not woken yet.
    pub fn waiting(&self) -> usize {
        self.gate.look(Gate::waiting)
    }

    /// Waits until it is set. Cancel safe.
    pub fn until_set(&self) -> UntilSet {
        UntilSet {
            event: self.clone(),
            ticket: None,
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`Event::until_set`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct UntilSet {
    event: Event,
    ticket: Option<Ticket<()>>,
}

impl Future for UntilSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { event, ticket } = self.get_mut();
        let gate = &event.gate;
        gate.poll(cx, |gate, waker, after| gate.poll(ticket, waker, after))
    }
}

impl Drop for UntilSet {
    fn drop(&mut self) {
        let Self { event, ticket } = self;
        event.gate.change(|gate, after| gate.leave(ticket, after));
    }
}

/// Open or shut; who waits when it opens gets through, though it be shut again meanwhile.
pub(crate) struct Gate {
    is_open: bool,
    line: Line,
}

impl Gate {
    pub(crate) fn new(is_open: bool) -> Self {
        Gate {
            is_open,
            line: Line::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn open(&mut self, after: &mut After) {
        self.is_open = true;
        self.line.admit_all(after);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.line.waiting()
    }

    pub(crate) fn shut(&mut self) {
        self.is_open = false;
    }

    pub(crate) fn poll(
        &mut self,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        after: &mut After,
    ) -> Poll<()> {
        if self.is_open || ticket.is_some_and(|ticket| self.line.is_admitted(ticket)) {
            self.leave(ticket, after);
            return Poll::Ready(());
        }
        if let Some(waker) = waker.take() {
            self.line.wait(ticket, waker, || (), after);
        }
        Poll::Pending
    }

    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket<()>>, after: &mut After) {
        if let Some(ticket) = ticket.take() {
            self.line.leave(ticket, after);
        }
    }
}
