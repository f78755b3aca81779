//! How much I/O one run of a task may do before the others get their turn (rule 15).

use crate::clock::Clock;
use std::cell::Cell;

/// Bytes that one run of a task may move.
const RUN_BYTES: usize = 128 * 1024;
/// Time that one run of a task may go on doing I/O.
const RUN_NS: u64 = 200_000;
/// The clock is read once in so many system calls: most runs do two, and never pay for it.
const CALLS_PER_CLOCK: u32 = 8;

/// What is left for the task that runs now.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: Cell<usize>,
    calls: Cell<u32>,
    since_ns: Cell<u64>,
}

impl Budget {
    /// Gives the next run its full share.
    pub(crate) fn refill(&self) {
        self.bytes.set(RUN_BYTES);
        self.calls.set(0);
    }

    /// Pays for one system call that moved so many bytes.
    pub(crate) fn spend(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.calls.set(self.calls.get() + 1);
    }

    /// True when this run has had its share.
    #[inline]
    pub(crate) fn is_spent(&self, clock: &Clock) -> bool {
        let calls = self.calls.get();
        self.bytes.get() == 0
            || (calls > 0
                && calls.is_multiple_of(CALLS_PER_CLOCK)
                && self.is_late(calls, clock.now_ns()))
    }

    #[cold]
    fn is_late(&self, calls: u32, now_ns: u64) -> bool {
        if calls == CALLS_PER_CLOCK {
            self.since_ns.set(now_ns);
        }
        now_ns.saturating_sub(self.since_ns.get()) > RUN_NS
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
