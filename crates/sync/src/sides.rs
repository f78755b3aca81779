//! The two sides of a channel that has news for all of its receivers.

use crate::waiters::{Effects, SharedState, Ticket, Waiters};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How many senders there are, and the receivers that wait for them.
#[derive(Default)]
pub(crate) struct Senders {
    count: usize,
    waiting: Waiters,
}

impl Senders {
    pub(crate) fn one() -> Self {
        Senders {
            count: 1,
            ..Senders::default()
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn add(&mut self) {
        self.count += 1;
    }

    /// Wakes the receivers after the last sender, because no news will come.
    pub(crate) fn remove(&mut self, effects: &mut Effects) {
        self.count -= 1;
        if self.count == 0 {
            self.announce(effects);
        }
    }

    /// Wakes the receivers that wait, in the order in which they came.
    pub(crate) fn announce(&mut self, effects: &mut Effects) {
        self.waiting.wake_all(effects);
    }

    /// Polls a receiver that waits for news, or for the end of all senders.
    pub(crate) fn poll_news(
        &mut self,
        has_news: bool,
        ticket: &mut Option<Ticket<()>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<()> {
        let is_over = has_news || self.count == 0;
        self.waiting.poll_until(is_over, ticket, waker, effects)
    }

    /// Ends the wait of a receiver.
    pub(crate) fn give_up(&mut self, ticket: &mut Option<Ticket<()>>, effects: &mut Effects) {
        self.waiting.give_up(ticket, effects);
    }
}

/// How many receivers there are, and the senders that wait until there is none.
pub(crate) struct Receivers {
    state: SharedState<ReceiversState>,
}

#[derive(Default)]
struct ReceiversState {
    count: usize,
    waiting: Waiters,
}

impl Receivers {
    pub(crate) fn new(count: usize) -> Self {
        Receivers {
            state: SharedState::new(ReceiversState {
                count,
                ..ReceiversState::default()
            }),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.state.look(|state| state.count)
    }

    pub(crate) fn add(&self) {
        self.state.change(|state, _| state.count += 1);
    }

    pub(crate) fn remove(&self) {
        self.state.change(|state, effects| {
            state.count -= 1;
            if state.count == 0 {
                state.waiting.wake_all(effects);
            }
        });
    }

    pub(crate) fn until_none(&self) -> UntilClosed {
        UntilClosed {
            state: self.state.clone(),
            ticket: None,
        }
    }
}

/// The future of [`watch::Sender::closed`](crate::watch::Sender::closed) and
/// [`broadcast::Sender::closed`](crate::broadcast::Sender::closed); it takes its ticket when it is
/// first polled.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilClosed {
    state: SharedState<ReceiversState>,
    ticket: Option<Ticket<()>>,
}

impl Future for UntilClosed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { state, ticket } = self.get_mut();
        state.poll(cx, |state, waker, effects| {
            let is_closed = state.count == 0;
            state.waiting.poll_until(is_closed, ticket, waker, effects)
        })
    }
}

impl Drop for UntilClosed {
    fn drop(&mut self) {
        let ticket = &mut self.ticket;
        self.state
            .change(|state, effects| state.waiting.give_up(ticket, effects));
    }
}

impl fmt::Debug for UntilClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers = self.state.look(|state| state.count);
        write!(f, "UntilClosed(receivers: {receivers})")
    }
}

/// The error of a wait for news: all senders are gone, and the last news was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "RecvError")]
pub struct SendersGone;

impl fmt::Display for SendersGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all senders are gone")
    }
}
impl std::error::Error for SendersGone {}
