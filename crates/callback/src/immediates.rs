//! `setImmediate`: callbacks of the check phase, just after the poll.
//!
//! While a referenced immediate waits, the poll does not sleep. After a throw the rest of the
//! snapshot runs at once, before the ticks, as in Node.

use crate::continuation::once;
use crate::runtime::{CutShort, PendingImmediate, Runtime, current, try_current};
use crate::tables::references;
use crate::thrown::IntoResult;
use oneloop_core::{Phase, PhaseReached};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// A callback that waits for the check phase: see [`set_immediate`].
#[derive(Clone)]
pub struct Immediate {
    pending: Rc<PendingImmediate>,
}

impl fmt::Debug for Immediate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.pending.callback.borrow().is_some();
        write!(f, "Immediate(waits: {waits})")
    }
}

references!(Immediate, "the immediate waits");

impl Immediate {
    /// True while it keeps the program alive.
    pub fn has_ref(&self) -> bool {
        self.pending.referenced.get()
    }

    fn set_referenced(&self, referenced: bool) {
        self.pending.referenced.set(referenced);
        // The driver decides whether its wait for the check phase keeps the loop alive.
        if let Some(runtime) = try_current() {
            runtime.immediates.bell.ring();
        }
    }
}

/// Calls a function in the check phase, after the callbacks of the poll.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "uv_check_t")]
pub fn set_immediate<O: IntoResult>(f: impl FnOnce() -> O + 'static) -> Immediate {
    let pending = Rc::new(PendingImmediate::new(once(f)));
    current().immediates.push(Rc::clone(&pending));
    Immediate { pending }
}

/// Cancels an immediate that has not run.
pub fn clear_immediate(immediate: &Immediate) {
    // The entry stays in the queue, which skips entries without a callback.
    let callback = immediate.pending.callback.take();
    drop(callback);
}

impl Runtime {
    /// Waits for the check phase and runs what is queued, again and again.
    pub(crate) async fn drive_immediates(self: Rc<Self>) {
        let mut wait: Option<PhaseReached> = None;
        poll_fn(|cx| {
            loop {
                self.immediates.bell.wait(cx);
                if self.immediates.is_empty() {
                    wait = None;
                    return Poll::<()>::Pending;
                }
                // A referenced wait for a phase keeps the poll from sleeping.
                let check = wait.get_or_insert_with(|| self.handle.phase(Phase::Check));
                check.set_referenced(self.immediates.is_referenced());
                if Pin::new(check).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                wait = None;
                self.run_check();
            }
        })
        .await;
    }

    /// Node's `CheckImmediate`.
    fn run_check(self: &Rc<Self>) {
        if self.immediates.take_wanted() {
            self.scope(|| Ok(())); // an empty scope: its end runs the ticks
        }
        self.immediates.begin();
        // After a throw, the rest of the snapshot runs at once, in a new scope.
        while self.immediates.has_outstanding() && !self.process.is_stopped() {
            self.scope(|| self.process_immediates());
        }
    }

    /// Node's `processImmediate`. Ticks run between two immediates; after the last one, the end of
    /// the scope runs them.
    fn process_immediates(self: &Rc<Self>) -> Result<(), CutShort> {
        let mut is_first = true;
        while let Some(callback) = {
            if !is_first {
                self.drain()?;
            }
            self.immediates.next()
        } {
            is_first = false;
            self.call(callback)?;
        }
        Ok(())
    }
}
