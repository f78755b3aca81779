//! The wait of a poll, in real or in virtual time.

use crate::state::LoopState;
use std::io;
use std::time::Duration;

/// The real time, on virtual time, that the kernel may take to deliver bytes over loopback. Mostly
/// it delivers them within the `send(2)`.
const LOOPBACK_GRACE: Duration = Duration::from_millis(10);

impl LoopState {
    /// The maximum time for which the poll may sleep; `None` is forever. A run that is over does
    /// not sleep.
    pub(super) fn timeout(&self, is_over: bool) -> Option<Duration> {
        if is_over || !self.ready.is_empty() || self.phases.borrow().is_referenced() {
            return Some(Duration::ZERO);
        }
        // An unreferenced timer counts here as well: it does not keep the loop alive, but while the
        // loop lives it fires on time.
        let deadline_ns = self.timers.borrow_mut().next_deadline_ns()?;
        // From the last look at the clock, a moment ago: the poll sleeps longer by that moment,
        // never shorter (rule 10).
        let left_ns = deadline_ns.saturating_sub(self.lapped_ns.get());
        Some(Duration::from_nanos(left_ns))
    }

    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let sleep = timeout.filter(|_| self.clock.is_virtual());
        let Some(sleep) = sleep else {
            self.reactor.borrow_mut().wait(timeout)?;
            return Ok(());
        };
        if !sleep.is_zero() && self.jobs_outside.get() > 0 {
            // A job takes real time, and may end before the next timer.
            self.reactor.borrow_mut().wait(None)?;
            return Ok(());
        }
        // Virtual time passes only when nothing else can happen. Bytes that are on their way
        // through loopback sockets get a moment first.
        let has_sources = self.reactor.borrow().len() > 1; // the bell is one
        let grace = if has_sources && !sleep.is_zero() {
            LOOPBACK_GRACE
        } else {
            Duration::ZERO
        };
        // With events at hand time stands still: they happened before the timer is due.
        if self.reactor.borrow_mut().wait(Some(grace))? == 0 {
            self.clock.advance(sleep);
        }
        Ok(())
    }
}
