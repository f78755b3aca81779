//! Wakes the driver of a queue.

use std::cell::Cell;
use std::task::{Context, Waker};

/// One driver waits; whatever changes its queue rings.
#[derive(Default)]
pub(crate) struct Bell {
    waker: Cell<Option<Waker>>,
}

impl Bell {
    /// Keeps this task's waker for the next ring.
    pub(crate) fn wait(&self, cx: &mut Context<'_>) {
        // Drivers call this before they look at their queue, so that no ring is lost in between.
        self.waker.set(Some(cx.waker().clone()));
    }

    /// The queue has changed. Further rings are free until the driver waits again.
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
