//! How much I/O one run of a task may do before the others get their turn (rule 15).

use crate::clock::Clock;
use std::cell::Cell;

/// Bytes that one run of a task may move.
const RUN_BYTES: usize = 128 * 1024;
/// Time that one run of a task may go on doing I/O.
const RUN_NS: u64 = 200_000;
/// The clock is read once in so many system calls: most runs do two, and never pay for it.
const CALLS_PER_CLOCK: u32 = 8;

/// What is left for the task that runs now; outside of runs it is full.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: Cell<usize>,
    /// System calls until the clock is read again.
    calls: Cell<u32>,
    /// When the clock was first read in this run.
    since_ns: Cell<Option<u64>>,
}

impl Default for Budget {
    fn default() -> Self {
        let budget = Budget {
            bytes: Cell::new(0),
            calls: Cell::new(0),
            since_ns: Cell::new(None),
        };
        budget.refill();
        budget
    }
}

impl Budget {
    /// Gives the next run its full share.
    #[inline]
    pub(crate) fn refill(&self) {
        self.bytes.set(RUN_BYTES);
        self.calls.set(CALLS_PER_CLOCK);
        self.since_ns.set(None);
    }

    /// Pays for one system call that moved so many bytes.
    #[inline]
    pub(crate) fn spend(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.calls.set(self.calls.get().saturating_sub(1));
    }

    /// True when this run has had its share.
    #[inline]
    pub(crate) fn is_spent(&self, clock: &Clock) -> bool {
        self.bytes.get() == 0 || (self.calls.get() == 0 && self.is_late(clock.now_ns()))
    }

    #[cold]
    fn is_late(&self, now_ns: u64) -> bool {
        let since_ns = self.since_ns.get().unwrap_or(now_ns);
        let is_late = now_ns.saturating_sub(since_ns) > RUN_NS;
        self.since_ns.set(Some(since_ns));
        self.calls.set(if is_late { 0 } else { CALLS_PER_CLOCK });
        is_late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn bytes_run_out() {
        let (budget, clock) = (Budget::default(), Clock::new_virtual());
        budget.refill();
        budget.spend(RUN_BYTES - 1);
        assert!(!budget.is_spent(&clock));
        budget.spend(2);
        assert!(budget.is_spent(&clock));
        budget.refill();
        assert!(!budget.is_spent(&clock));
    }

    #[test]
    fn time_runs_out_even_when_few_bytes_move() {
        let (budget, clock) = (Budget::default(), Clock::new_virtual());
        budget.refill();
        let calls = std::iter::repeat_with(|| {
            budget.spend(1);
            clock.advance(Duration::from_micros(50));
            budget.is_spent(&clock)
        });
        let until = calls.take(1000).position(|spent| spent);
        assert_eq!(
            until,
            Some(15),
            "the second look at the clock, 400 µs after the first"
        );
    }
}
