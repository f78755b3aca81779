//! What SIGUSR1 and operators make clients and loops report, and the sums of the whole server.

use crate::counters::Moved;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// What a client waits for.
pub(crate) const FOR_INPUT: &str = "waits for input";
pub(crate) const FOR_CLIENT: &str = "waits for the client to take output";
pub(crate) const FOR_PEER: &str = "waits for the peer to take input";
pub(crate) const FOR_HEADER: &str = "waits for its PROXY header";
pub(crate) const FOR_CONNECTION: &str = "waits for the connection to its peer";
const PAUSED: &str = "paused by an operator";

/// What an operator asks of the client with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "admin"),
    allow(dead_code, reason = "only operators give orders")
)]
pub(crate) enum Order {
    /// Read nothing more from it.
    Pause(u64),
    /// Read from it again.
    Resume(u64),
    /// Close it.
    Close(u64),
}

impl Order {
    fn number(self) -> u64 {
        match self {
            Order::Pause(number) | Order::Resume(number) | Order::Close(number) => number,
        }
    }
}

/// The report of one client.
#[derive(Clone, Debug)]
pub(crate) struct ClientReport {
    /// Which of the server's clients this is, counted from 1.
    pub(crate) number: u64,
    /// Its address, or that it is gone.
    pub(crate) peer: String,
    /// In tenths of a second.
    pub(crate) age: u32,
    pub(crate) traffic: Traffic,
    pub(crate) is_paused: bool,
}

impl fmt::Display for ClientReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, peer) = (self.number, &self.peer);
        let (seconds, tenths) = (self.age / 10, self.age % 10);
        let waits = if self.is_paused {
            PAUSED
        } else {
            self.traffic.waits
        };
        write!(
            f,
            "client {number} {peer}: {} bytes in, {} out, {} queued, connected for {seconds}.{tenths} s, {waits}",
            self.traffic.moved.received, self.traffic.moved.sent, self.traffic.queued,
        )
    }
}

/// What one client has transferred, and what it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) moved: Moved,
    /// Bytes that wait to be sent to the client.
    pub(crate) queued: usize,
    /// One of the `FOR_` constants.
    pub(crate) waits: &'static str,
}

/// The reports of one loop's clients while they come in.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// How many notices this loop has given its clients: requests for reports, and changes of the
    /// settings.
    notices: Cell<u32>,
    /// A round of reports is under way.
    is_collecting: Cell<bool>,
    clients: RefCell<Vec<ClientReport>>,
    /// What is asked of one client, until it obeys.
    order: Cell<Option<Order>>,
    /// Sum of the clients' queued bytes in this round.
    queued: Cell<u64>,
}

impl Reports {
    /// The last notice. A new client remembers it, and so answers from the next one on.
    pub(crate) fn last_notice(&self) -> u32 {
        self.notices.get()
    }

    /// Gives the clients a notice, which each finds when it is woken.
    pub(crate) fn notify(&self) {
        self.notices.set(self.notices.get().wrapping_add(1));
    }

    /// True while clients are to report.
    pub(crate) fn is_collecting(&self) -> bool {
        self.is_collecting.get()
    }

    /// Begins a round without reports.
    pub(crate) fn begin_round(&self) {
        self.notify();
        self.is_collecting.set(true);
        self.queued.set(0);
        self.clients.take();
    }

    /// Gives an order, which its client finds with the next notice.
    pub(crate) fn give(&self, order: Order) {
        self.order.set(Some(order));
    }

    /// Takes the order for the client with this number.
    pub(crate) fn take_order(&self, number: u64) -> Option<Order> {
        let order = self.order.get().filter(|order| order.number() == number)?;
        self.order.set(None);
        Some(order)
    }

    /// True once for each notice, for a client that keeps the last one that it has `answered`.
    #[inline]
    pub(crate) fn is_noticed(&self, answered: &mut u32) -> bool {
        let last = self.notices.get();
        last != mem::replace(answered, last)
    }

    /// Adds a client's report to this round.
    pub(crate) fn add(&self, report: ClientReport) {
        self.queued
            .set(self.queued.get() + report.traffic.queued as u64);
        self.clients.borrow_mut().push(report);
    }

    /// Ends the round: the reports, and the bytes queued for all clients of this loop.
    pub(crate) fn take(&self) -> (Vec<ClientReport>, u64) {
        self.is_collecting.set(false);
        (self.clients.take(), self.queued.get())
    }
}

/// The sums of one round over all loops.
#[derive(Debug, Default)]
pub(crate) struct Summary(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    round: u64,
    /// Loops that have reported.
    loops: u16,
    /// Bytes that wait for the clients of these loops.
    queued: u64,
    state: SummaryState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SummaryState {
    #[default]
    Collecting,
    /// One loop has the sums, and is logging them.
    Taken,
    Logged,
}

impl Summary {
    /// Adds one loop's queued bytes to a round; returns how many loops have reported.
    pub(crate) fn add(&self, round: u64, queued: u64) -> u16 {
        let added = self.with(round, |sums| {
            sums.queued += queued;
            sums.loops += 1;
            sums.loops
        });
        added.unwrap_or(0)
    }

    /// The queued bytes and the count of loops, for the one loop that logs the round's summary, and
    /// says so by `set_logged`.
    pub(crate) fn take(&self, round: u64) -> Option<(u64, u16)> {
        self.with(round, |sums| {
            let is_first = sums.state == SummaryState::Collecting;
            is_first.then(|| {
                sums.state = SummaryState::Taken;
                (sums.queued, sums.loops)
            })
        })?
    }

    /// Records that the summary of this round is logged.
    pub(crate) fn set_logged(&self, round: u64) {
        self.with(round, |sums| sums.state = SummaryState::Logged);
    }

    /// True once the summary of this round is logged, or will not be: a newer round has begun.
    pub(crate) fn is_logged(&self, round: u64) -> bool {
        self.with(round, |sums| sums.state == SummaryState::Logged)
            .unwrap_or(true)
    }

    /// Applies `f` to the sums of this round; `None` if a newer round has begun.
    fn with<T>(&self, round: u64, f: impl FnOnce(&mut Sums) -> T) -> Option<T> {
        // A poisoned lock has sums of this round at worst, which the next round replaces.
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if round > sums.round {
            *sums = Sums {
                round,
                ..Sums::default()
            };
        }
        (round == sums.round).then(|| f(&mut sums))
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_summary_is_logged_only_once_its_loop_says_so() {
        let summary = Summary::default();
        assert_eq!(summary.add(1, 30), 1);
        assert_eq!(summary.add(1, 12), 2);
        assert_eq!(summary.take(1), Some((42, 2)));
        // The other loop's own lines must wait until the summary stands in the log.
        assert!(!summary.is_logged(1));
        assert_eq!(summary.take(1), None);
        summary.set_logged(1);
        assert!(summary.is_logged(1));
    }

    #[test]
    fn a_late_loop_leaves_the_sums_of_a_newer_round_alone() {
        let summary = Summary::default();
        assert_eq!(summary.add(2, 30), 1);
        assert_eq!(summary.add(1, 5), 0);
        assert_eq!((summary.take(1), summary.is_logged(1)), (None, true));
        assert_eq!(summary.add(2, 12), 2);
        assert_eq!(summary.take(2), Some((42, 2)));
    }
}
