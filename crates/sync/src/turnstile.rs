//! A count of things to be had, and the line of those who want one.

use crate::waiters::{After, Line, Ticket};

/// So many things are to be had: for the first so many in line, and then for whoever comes.
pub(crate) struct Turnstile<H = ()> {
    available: usize,
    /// How many may be admitted, or dismissed, and not have run yet.
    admitted_max: usize,
    /// As many are admitted as there are things for, or all: to leave it is to pass, or to give up.
    pub(crate) line: Line<H>,
}

impl<H> Turnstile<H> {
    pub(crate) fn new(available: usize) -> Self {
        Turnstile {
            available,
            admitted_max: usize::MAX,
            line: Line::default(),
        }
    }

    /// One where the next is woken by the one before, once that has run.
    pub(crate) fn one_by_one(available: usize) -> Self {
        Turnstile {
            admitted_max: 1,
            ..Turnstile::new(available)
        }
    }

    /// How many there are, whether or not they are for somebody in line.
    pub(crate) fn available(&self) -> usize {
        self.available
    }

    /// How many there are for somebody who is not in line.
    pub(crate) fn free(&self) -> usize {
        self.available.saturating_sub(self.line.len())
    }

    /// How many are in line for whom there is nothing.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len().saturating_sub(self.available)
    }

    /// True if it is this one's turn; for somebody who is not in line, if there is one to spare.
    pub(crate) fn may_pass(&self, ticket: Option<Ticket<H>>) -> bool {
        match ticket {
            Some(ticket) => self.line.is_admitted(ticket),
            None => self.free() > 0,
        }
    }

    /// Takes one, in turn or not; who is behind may have to wait again. Gives what somebody in line had
    /// with it.
    pub(crate) fn pass(&mut self, ticket: &mut Option<Ticket<H>>, after: &mut After) -> Option<H> {
        let ticket = ticket.take();
        let held = ticket.map(|ticket| self.line.leave(ticket, after));
        self.remove(after);
        held
    }

    /// There is one more.
    ///
    /// # Panics
    /// When there are `usize::MAX`.
    pub(crate) fn add(&mut self, after: &mut After) {
        let available = self.available.checked_add(1);
        self.available = available.expect("a count fits in a usize");
        self.settle(after);
    }

    /// There is one less.
    pub(crate) fn remove(&mut self, after: &mut After) {
        self.available -= 1;
        self.settle(after);
    }

    /// There are so many.
    pub(crate) fn set(&mut self, available: usize, after: &mut After) {
        self.available = available;
        self.settle(after);
    }

    /// Admits as many as it should be.
    pub(crate) fn settle(&mut self, after: &mut After) {
        let admitted_max = self.admitted_max.saturating_sub(self.line.dismissed());
        let admitted = self.available.min(self.line.len()).min(admitted_max);
        while self.line.admitted() < admitted {
            self.line.admit(after);
        }
        while self.line.admitted() > admitted {
            self.line.retract();
        }
    }

    /// Leaves the line with nothing; what it could have had is the next one's.
    pub(crate) fn give_up(&mut self, ticket: Ticket<H>, after: &mut After) -> H {
        let held = self.line.leave(ticket, after);
        self.settle(after);
        held
    }
}
