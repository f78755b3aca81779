//! A flag with waiters: open or shut.

use crate::waiters::{Effects, Ticket, Waiters};
use std::task::{Poll, Waker};

/// Open or shut. Opening the gate admits every waiter, and shutting it again keeps them admitted.
pub(crate) struct Gate {
    is_open: bool,
    line: Waiters,
}

impl Gate {
    pub(crate) fn new(is_open: bool) -> Self {
        Gate {
            is_open,
            line: Waiters::default(),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn open(&mut self, effects: &mut Effects) {
        self.is_open = true;
        self.line.admit_all(effects);
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
        effects: &mut Effects,
    ) -> Poll<()> {
        // The ticket counts as well, because the gate may have been shut since it was admitted.
        let is_open = self.is_open || ticket.is_some_and(|ticket| self.line.is_admitted(ticket));
        self.line.poll_until(is_open, ticket, waker, effects)
    }

    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket<()>>, effects: &mut Effects) {
        self.line.give_up(ticket, effects);
    }
}
