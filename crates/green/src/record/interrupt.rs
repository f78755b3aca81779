//! Interrupts: what ends a wait early, by unwinding.
//!
//! ```text
//!   interrupt(payload) ──▶ queued ──▶ the task is woken, and resumed
//!        woken before: is_behind_wake     │
//!             │                           ▼
//!             │            after_resume: thrown, unless it is behind the wake
//!             ▼
//!   the future is polled; ready: the wait returns, the interrupt stays queued
//!             │ pending
//!             ▼
//!   before_suspend: thrown. A timeout becomes an interrupt only here, so that the future wins
//! ```
//!
//! A stack that unwinds, or is shielded, is not interrupted: the interrupt stays queued.

use super::extras::{Interrupt, RunningTimeout};
use super::{Lifecycle, ThreadRecord, TypeName};
use crate::token::{Close, Kill, TimedOut, error_of};
use oneloop_core::Sleep;
use std::any::Any;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;

/// The loop is being dropped, so that a wait cannot complete.
#[derive(Debug)]
pub(crate) struct LoopClosed;

/// The two sides of a wait.
impl ThreadRecord {
    /// Called when a future is pending, before its thread suspends: notes what it waits for, and
    /// unwinds if the wait is interrupted already.
    ///
    /// Inlined, as everything between a wait's caller and the switch: a switch leaves the
    /// processor's predictor of returns with the wrong stack, so each return behind it is
    /// mispredicted.
    #[inline(always)]
    pub(crate) fn before_suspend(
        &self,
        future: TypeName,
        at: &'static Location<'static>,
    ) -> Result<(), LoopClosed> {
        if self.alert.get() {
            self.fire_timeouts();
            self.deliver(|_| true)?;
        }
        self.interrupted.set(false);
        self.waits_for.set(Some((future, at)));
        Ok(())
    }

    /// Called when the thread was resumed, before the future is polled: unwinds if the wait was
    /// interrupted, unless the thread was woken before that.
    #[inline(always)]
    pub(crate) fn after_resume(&self) -> Result<(), LoopClosed> {
        if self.alert.get() {
            self.deliver(|interrupt| !interrupt.is_behind_wake)?;
        }
        Ok(())
    }

    /// Throws the first interrupt that `which` selects, if it may be thrown.
    #[cold]
    fn deliver(&self, which: impl Fn(&Interrupt) -> bool) -> Result<(), LoopClosed> {
        if self.closing.get() {
            // A drop waits while its stack unwinds, or a scope's guard waits for its threads.
            if !self.may_throw() {
                return Err(LoopClosed);
            }
            self.throw(Box::new(Close));
        }
        if let Some(interrupt) = self.take_interrupt(which) {
            self.throw(interrupt.payload);
        }
        Ok(())
    }

    fn take_interrupt(&self, which: impl Fn(&Interrupt) -> bool) -> Option<Interrupt> {
        let mut extras = self.extras.borrow_mut();
        let extras = extras.as_mut()?;
        let index = extras.interrupts.iter().position(which);
        let index = index.filter(|_| self.may_throw()); // if not, it stays for a later wait
        let taken = index.and_then(|index| extras.interrupts.remove(index));
        self.alert
            .set(!extras.interrupts.is_empty() || !extras.timeouts.is_empty());
        taken
    }

    /// `resume_unwind`, not `panic!`: no panic hook runs, and nothing is printed.
    fn throw(&self, payload: Box<dyn Any + Send>) -> ! {
        self.interrupted.set(true);
        resume_unwind(payload)
    }

    /// False while nothing may be thrown. For the thread that runs.
    fn may_throw(&self) -> bool {
        !self.shielded.get() && self.can_unwind()
    }

    fn can_unwind(&self) -> bool {
        self.switch.can_unwind(&self.stack())
    }
}

/// Interrupting.
impl ThreadRecord {
    /// Ends the current wait, or the next one. Ends a thread that has not begun.
    pub(crate) fn interrupt(&self, payload: Box<dyn Any + Send>) {
        match self.lifecycle.get() {
            Lifecycle::Ended | Lifecycle::LeftBehind => {}
            Lifecycle::New => {
                // There is no stack to unwind yet. The result is stored first, as the canceled
                // task's drop ends the thread, which would otherwise store a cancellation.
                self.slot.fail(error_of(payload));
                self.handle.cancel_task(self.key.get());
            }
            Lifecycle::Begun => {
                let is_behind_wake = self.handle.is_task_ready(self.key.get());
                let mut extras = self.extras.borrow_mut();
                let extras = extras.get_or_insert_default();
                extras.interrupts.push_back(Interrupt {
                    payload,
                    is_behind_wake,
                });
                self.alert.set(true);
                // An interrupt is a wake: the thread may wait for a future that nothing else
                // completes.
                self.handle.wake_task(self.key.get());
            }
        }
    }

    /// Kills the thread before any other task runs.
    pub(crate) fn kill_first(&self) {
        self.interrupt(Box::new(Kill));
        self.handle.wake_task_first(self.key.get());
    }

    /// Kills the thread that runs: it unwinds at once, or at its next wait if it unwinds already.
    pub(crate) fn kill_itself(&self) {
        if self.can_unwind() {
            self.throw(Box::new(Kill));
        }
        self.interrupt(Box::new(Kill));
    }

    /// True while an interrupt is queued.
    pub(crate) fn is_interrupted(&self) -> bool {
        let extras = self.extras.borrow();
        extras
            .as_ref()
            .is_some_and(|extras| !extras.interrupts.is_empty())
    }

    /// Removes the queued interrupts that `which` selects.
    pub(crate) fn forget_interrupts(&self, which: impl Fn(&(dyn Any + Send)) -> bool) {
        if let Some(extras) = self.extras.borrow_mut().as_mut() {
            extras
                .interrupts
                .retain(|interrupt| !which(&*interrupt.payload));
        }
    }

    /// Nothing interrupts the thread until the shield is dropped.
    pub(crate) fn shield(&self) -> Shield<'_> {
        // Shields nest: a scope's guard may run inside of another one's.
        let before = self.shielded.replace(true);
        Shield {
            record: self,
            before,
        }
    }

    /// Makes every wait fail from now on.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.alert.set(true);
    }
}

/// Nothing interrupts the thread while this lives.
pub(crate) struct Shield<'a> {
    record: &'a ThreadRecord,
    before: bool,
}

impl Drop for Shield<'_> {
    fn drop(&mut self) {
        self.record.shielded.set(self.before);
    }
}

/// Timeouts.
impl ThreadRecord {
    /// Starts a timeout, which is the innermost one from now on.
    pub(crate) fn push_timeout(&self, id: u64, mut sleep: Sleep) {
        // The first poll starts the timer, whose waker is that of this thread's task.
        let started = self.switch.poll(Pin::new(&mut sleep));
        debug_assert!(started.is_pending(), "a timer fires in its phase only");
        let mut extras = self.extras.borrow_mut();
        let extras = extras.get_or_insert_default();
        extras.timeouts.push(RunningTimeout { id, sleep });
        self.alert.set(true);
    }

    /// Removes the timeout, or its interrupt if it has fired.
    pub(crate) fn pop_timeout(&self, id: u64) {
        let mut slot = self.extras.borrow_mut();
        let Some(extras) = slot.as_mut() else { return };
        // From the end, as mostly the innermost timeout ends.
        let index = extras.timeouts.iter().rposition(|timeout| timeout.id == id);
        if let Some(index) = index {
            extras.timeouts.remove(index);
            return;
        }
        drop(slot);
        self.forget_interrupts(|payload| {
            let timed_out = payload.downcast_ref::<TimedOut>();
            timed_out.is_some_and(|timed_out| timed_out.0 == id)
        });
    }

    /// True while the timeout has not fired.
    pub(crate) fn has_timeout(&self, id: u64) -> bool {
        let extras = self.extras.borrow();
        extras
            .as_ref()
            .is_some_and(|extras| extras.timeouts.iter().any(|timeout| timeout.id == id))
    }

    /// Turns the timeouts that are over into interrupts: the earliest deadline first, and of equal
    /// ones the outermost, as in gevent. Called once the future is known to be pending, so that a
    /// result that came in the same turn wins.
    fn fire_timeouts(&self) {
        let mut extras = self.extras.borrow_mut();
        let Some(extras) = extras.as_mut() else {
            return;
        };
        let mut over: Vec<_> = extras
            .timeouts
            .extract_if(.., |timeout| {
                self.switch.poll(Pin::new(&mut timeout.sleep)).is_ready()
            })
            .collect();
        over.sort_by_key(|timeout| timeout.sleep.deadline_ns());
        for RunningTimeout { id, .. } in over {
            let payload = Box::new(TimedOut(id));
            let is_behind_wake = false;
            extras.interrupts.push_back(Interrupt {
                payload,
                is_behind_wake,
            });
        }
    }
}
