//! A flag that tasks wait for.

use crate::gate::Gate;
use crate::waiters::{SharedState, Ticket};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A flag that tasks wait for: the `Event` of Python's `threading` and of gevent. (eventlet's
/// `Event` carries a value: see [`OneShot`](crate::OneShot). An event of Node's `EventEmitter` is
/// `oneloop::callback::events::Event`.)
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::Event;
/// let mut event_loop = EventLoop::new()?;
/// let ready = Event::new();
/// let setter = ready.clone();
/// event_loop.handle().spawn(async move { setter.set() });
/// event_loop.block_on(ready.until_set());
/// assert!(ready.is_set());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("ManualResetEvent", "AutoResetEvent"))]
pub struct Event {
    gate: SharedState<Gate>,
}

impl Event {
    /// Creates an event that is not set.
    pub fn new() -> Self {
        Event {
            gate: SharedState::new(Gate::new(false)),
        }
    }

    /// Sets the event, and wakes all waiters in the order in which they came. Until
    /// [`Event::clear`], waits complete at once.
    pub fn set(&self) {
        self.gate.change(Gate::open);
    }

    /// Clears the event: later waits last until the next [`Event::set`]. Waiters that the last
    /// `set` woke continue all the same, as in gevent.
    pub fn clear(&self) {
        self.gate.change(|gate, _| gate.shut());
    }

    /// True from [`Event::set`] to [`Event::clear`].
    pub fn is_set(&self) -> bool {
        self.gate.look(Gate::is_open)
    }

    /// Returns the number of waiters that no [`Event::set`] has woken yet.
    pub fn waiting(&self) -> usize {
        self.gate.look(Gate::waiting)
    }

    /// Waits until the event is set. Cancel safe.
    #[doc(alias = "wait")]
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

/// The future of [`Event::until_set`]; it takes its ticket when it is first polled.
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
        gate.poll(cx, |gate, waker, effects| gate.poll(ticket, waker, effects))
    }
}

impl Drop for UntilSet {
    fn drop(&mut self) {
        let Self { event, ticket } = self;
        event
            .gate
            .change(|gate, effects| gate.leave(ticket, effects));
    }
}
