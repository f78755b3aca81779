//! The immediates that wait for the check phase.

use super::bell::Bell;
use crate::continuation::Once;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// An immediate in the queue.
pub(crate) struct PendingImmediate {
    /// None once it ran or was cleared.
    pub(crate) callback: RefCell<Option<Once>>,
    pub(crate) referenced: Cell<bool>,
}

impl PendingImmediate {
    pub(crate) fn new(callback: Once) -> Self {
        PendingImmediate {
            callback: RefCell::new(Some(callback)),
            referenced: Cell::new(true),
        }
    }
}

/// The immediates of a program.
#[derive(Default)]
pub(crate) struct ImmediateQueue {
    queue: RefCell<VecDeque<Rc<PendingImmediate>>>,
    /// The rest of the snapshot that runs now: an immediate that an immediate creates waits for
    /// the next turn.
    outstanding: RefCell<VecDeque<Rc<PendingImmediate>>>,
    /// A throw left ticks behind: the next check phase runs them.
    wanted: Cell<bool>,
    pub(crate) bell: Bell,
}

impl ImmediateQueue {
    /// Asks for a check phase soon, for the ticks that a throw left behind.
    pub(crate) fn want_check(&self) {
        self.wanted.set(true);
        self.bell.ring();
    }

    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.take()
    }

    /// Queues an immediate that does nothing. Node does so after each uncaught error that was
    /// handled (`setImmediate(noop)` in `process/execution.js`): the next check phase then runs the
    /// ticks that the error left behind, up to the next one that throws.
    pub(crate) fn push_noop(&self) {
        self.push(Rc::new(PendingImmediate::new(Box::new(|| Ok(())))));
    }

    pub(crate) fn push(&self, immediate: Rc<PendingImmediate>) {
        self.queue.borrow_mut().push_back(immediate);
        self.bell.ring();
    }

    /// Drops all immediates. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let (queue, outstanding) = (self.queue.take(), self.outstanding.take());
        let had_some = !queue.is_empty() || !outstanding.is_empty();
        // The callback itself: it may own the `Immediate`, which would keep it.
        for immediate in queue.into_iter().chain(outstanding) {
            let callback = immediate.callback.take();
            drop(callback);
        }
        had_some
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty() && !self.wanted.get()
    }

    /// True while an immediate keeps the program alive.
    pub(crate) fn is_referenced(&self) -> bool {
        // A cleared immediate stays in the queue, as removing it would take a search.
        let waits = |immediate: &Rc<PendingImmediate>| {
            immediate.referenced.get() && immediate.callback.borrow().is_some()
        };
        self.wanted.get() || self.queue.borrow().iter().any(waits)
    }

    /// Makes a snapshot of the queue, to be taken by [`ImmediateQueue::next`].
    pub(crate) fn begin(&self) {
        self.outstanding.replace(self.queue.take());
    }

    pub(crate) fn has_outstanding(&self) -> bool {
        !self.outstanding.borrow().is_empty()
    }

    pub(crate) fn next(&self) -> Option<Once> {
        loop {
            let immediate = self.outstanding.borrow_mut().pop_front()?;
            if let Some(callback) = immediate.callback.take() {
                return Some(callback);
            }
        }
    }
}
