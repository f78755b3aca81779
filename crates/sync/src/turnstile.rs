//! A count of available things, and the line of waiters that each want one.

use crate::waiters::{Effects, Ticket, Waiters};

/// Admits as many waiters as there are things: permits of a semaphore, values or room of a queue.
///
/// ```text
///                    add ──▶ available: 2 ──▶ remove
///                                │
///  pass ◀── a ─ b ┃ c ─ d ◀── wait        a and b are admitted, c and d wait for `add`
///  give_up ◀──────┸───                    whichever leaves, the next one is admitted
/// ```
///
/// An admission hands nothing over: the waiter takes its thing when it runs. If it gives up
/// instead, the thing is still there, and `settle` admits the next waiter. So a drop has nothing to
/// undo.
pub(crate) struct Turnstile<H = ()> {
    /// How many things there are, including those that admitted waiters are about to take.
    available: usize,
    /// The maximum number of waiters that are admitted or dismissed and have not run yet.
    admitted_max: usize,
    pub(crate) line: Waiters<H>,
}

impl<H> Turnstile<H> {
    pub(crate) fn new(available: usize) -> Self {
        Turnstile {
            available,
            admitted_max: usize::MAX,
            line: Waiters::default(),
        }
    }

    /// Creates a turnstile that admits one waiter at a time: each admits the next one when it has
    /// run.
    pub(crate) fn one_by_one(available: usize) -> Self {
        Turnstile {
            admitted_max: 1,
            ..Turnstile::new(available)
        }
    }

    /// How many things there are, including those that belong to waiters.
    pub(crate) fn available(&self) -> usize {
        self.available
    }

    /// How many things are left for tasks that are not in line.
    // A line can be longer than the number of things, and things can be there while waiters are in
    // line, because those have not run yet.
    pub(crate) fn free(&self) -> usize {
        self.available.saturating_sub(self.line.len())
    }

    /// How many waiters there are without a thing for them.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len().saturating_sub(self.available)
    }

    /// True if the holder of this ticket may take a thing now. Without a ticket, only what no
    /// waiter needs may be taken.
    pub(crate) fn may_pass(&self, ticket: Option<Ticket<H>>) -> bool {
        match ticket {
            Some(ticket) => self.line.is_admitted(ticket),
            None => self.free() > 0,
        }
    }

    /// Takes one thing and returns the value that the waiter with this ticket held. A task without
    /// a ticket may take a thing for which a waiter was admitted; that waiter then waits again.
    pub(crate) fn pass(
        &mut self,
        ticket: &mut Option<Ticket<H>>,
        effects: &mut Effects,
    ) -> Option<H> {
        let ticket = ticket.take();
        let held = ticket.map(|ticket| self.line.leave(ticket, effects));
        self.remove(effects);
        held
    }

    /// Adds one thing.
    ///
    /// # Panics
    /// If there are `usize::MAX` things.
    pub(crate) fn add(&mut self, effects: &mut Effects) {
        let available = self.available.checked_add(1);
        self.available = available.expect("a count fits in a usize");
        self.settle(effects);
    }

    /// Removes one thing.
    pub(crate) fn remove(&mut self, effects: &mut Effects) {
        self.available -= 1;
        self.settle(effects);
    }

    /// Sets the number of things.
    pub(crate) fn set(&mut self, available: usize, effects: &mut Effects) {
        self.available = available;
        self.settle(effects);
    }

    /// Admits waiters, or takes admissions back, until one waiter is admitted for each thing.
    pub(crate) fn settle(&mut self, effects: &mut Effects) {
        // A dismissed waiter has not run either, so it counts against the maximum.
        let admitted_max = self.admitted_max.saturating_sub(self.line.dismissed());
        let admitted = self.available.min(self.line.len()).min(admitted_max);
        while self.line.admitted() < admitted {
            self.line.admit(effects);
        }
        while self.line.admitted() > admitted {
            self.line.retract();
        }
    }

    /// Leaves the line without a thing, and so admits the next waiter.
    pub(crate) fn give_up(&mut self, ticket: Ticket<H>, effects: &mut Effects) -> H {
        let held = self.line.leave(ticket, effects);
        self.settle(effects);
        held
    }
}
