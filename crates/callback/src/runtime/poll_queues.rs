//! libuv's queues around the poll: what is fed, what continues in the next turn, what closes.
//!
//! ```text
//! pending ── POLL ─────────────────────────── check ── closing ── timers
//!   fed      held ▶ fds ▶ held back ▶ fed by the poll  closed
//! ```
//!
//! A *fed* handle is served without an event of the kernel, as by libuv's `uv__io_feed`: just after
//! the poll, if a callback of the poll fed it, and otherwise before the next poll. A *held* handle
//! had its round in this turn; its next one is in the next poll, before any new event, because
//! libuv's level-triggered epoll reports it again. A handle that begins to read is *held back*
//! behind the events, because libuv adds its fd to epoll only then. A *closed* handle reports that
//! in the closing phase, the last one closed first: libuv's `closing_handles` is a stack.

use super::bell::Bell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A handle with an fd, as the queues see it.
pub(crate) trait Queued {
    /// Does the work for which it was fed.
    fn serve(self: Rc<Self>);

    /// Begins its next round now.
    fn release(self: Rc<Self>);

    /// Begins its next round behind all tasks that are ready.
    fn release_soon(&self);

    /// True while it keeps the program alive.
    fn is_referenced(&self) -> bool;

    /// Reports that it is closed.
    fn finish_close(self: Rc<Self>);

    /// Drops everything: the program has ended.
    fn abandon(&self);
}

/// libuv runs its pending queue up to eight times after the poll (`uv_run`); a handle that is fed
/// even then waits for the next turn.
const FED_ROUNDS: usize = 8;

/// The handles of a program that wait for a phase.
#[derive(Default)]
pub(crate) struct PollQueues {
    fed: RefCell<VecDeque<Rc<dyn Queued>>>,
    pub(super) fed_bell: Bell,
    held: RefCell<Vec<Rc<dyn Queued>>>,
    held_back: RefCell<Vec<Rc<dyn Queued>>>,
    pub(super) held_bell: Bell,
    closing: RefCell<Vec<Rc<dyn Queued>>>,
    pub(super) closing_bell: Bell,
}

impl PollQueues {
    /// libuv's `uv__io_feed`.
    pub(crate) fn feed(&self, queued: Rc<dyn Queued>) {
        self.fed.borrow_mut().push_back(queued);
        self.fed_bell.ring();
    }

    /// Queues its next round for the next turn, before the events of the poll.
    pub(crate) fn hold(&self, queued: Rc<dyn Queued>) {
        self.held.borrow_mut().push(queued);
        self.held_bell.ring();
    }

    /// Queues its next round for the next turn, behind the events of the poll.
    pub(crate) fn hold_back(&self, queued: Rc<dyn Queued>) {
        self.held_back.borrow_mut().push(queued);
        self.held_bell.ring();
    }

    /// Queues its report that it is closed, for the closing phase.
    pub(crate) fn close(&self, queued: Rc<dyn Queued>) {
        self.closing.borrow_mut().push(queued);
        self.closing_bell.ring();
    }

    /// Re-checks whether a held handle keeps the program alive.
    pub(crate) fn recheck_held(&self) {
        if self.is_holding() {
            self.held_bell.ring();
        }
    }

    /// Drops everything that is queued, without a report. True if there was anything.
    pub(super) fn abandon_all(&self) -> bool {
        // All are taken before the first is abandoned: a drop may queue a handle again.
        let fed = self.fed.take();
        let held = self.held.take();
        let held_back = self.held_back.take();
        let closing = self.closing.take();
        let queued = fed.into_iter().chain(held).chain(held_back).chain(closing);
        // `count`, as `any` would leave the others as they are.
        queued.map(|queued| queued.abandon()).count() > 0
    }

    pub(super) fn is_fed(&self) -> bool {
        !self.fed.borrow().is_empty()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.held.borrow().is_empty() || !self.held_back.borrow().is_empty()
    }

    pub(super) fn is_closing(&self) -> bool {
        !self.closing.borrow().is_empty()
    }

    /// True while a held handle keeps the program alive.
    pub(super) fn is_held_referenced(&self) -> bool {
        let (held, held_back) = (self.held.borrow(), self.held_back.borrow());
        held.iter()
            .chain(held_back.iter())
            .any(|queued| queued.is_referenced())
    }

    pub(super) fn serve_fed(&self) {
        for _ in 0..FED_ROUNDS {
            // What these feed is for the next round, as in `uv__run_pending`.
            let fed = self.fed.take();
            if fed.is_empty() {
                return;
            }
            fed.into_iter().for_each(Queued::serve);
        }
    }

    pub(super) fn release_held(&self) {
        let (held, held_back) = (self.held.take(), self.held_back.take());
        for queued in held_back {
            queued.release_soon(); // the tasks that the poll found are in the run queue already
        }
        held.into_iter().for_each(Queued::release);
    }

    pub(super) fn finish_closing(&self) {
        // A handle that a callback closes now waits for the next closing phase, as in libuv's
        // `uv__run_closing_handles`.
        let closing = self.closing.take();
        closing.into_iter().rev().for_each(Queued::finish_close);
    }
}
