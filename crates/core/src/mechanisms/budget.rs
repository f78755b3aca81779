//! The I/O that one run of a task may do before the other tasks get their turn (rule 15).

use crate::mechanisms::clock::Clock;
use std::cell::Cell;

/// The bytes that one run of a task may move: two reads of 64 KiB, libuv's largest.
pub(crate) const RUN_BYTES: usize = 128 * 1024;
/// The time in nanoseconds for which one run of a task may do I/O.
const RUN_NS: u64 = 200_000;
/// The number of system calls between two looks at the clock. Most runs make two calls and never
/// look.
const CALLS_PER_CLOCK: u32 = 8;

/// The rest of the running task's share; between runs it is full.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The bytes that the task may still move.
    bytes: Cell<usize>,
    /// The number of system calls until the next look at the clock.
    calls: Cell<u32>,
    /// The time of this run's first look at the clock.
    since_ns: Cell<Option<u64>>,
}

impl Default for Budget {
    fn default() -> Self {
        let budget = Budget {
            bytes: Cell::new(0),
            calls: Cell::new(0),
            since_ns: Cell::new(None),
        };
        budget.refill(RUN_BYTES);
        budget
    }
}

impl Budget {
    /// Gives the next run its share, mostly [`RUN_BYTES`].
    #[inline]
    pub(crate) fn refill(&self, bytes: usize) {
        self.bytes.set(bytes);
        self.calls.set(CALLS_PER_CLOCK);
        self.since_ns.set(None);
    }

    /// Charges one system call that moved `bytes` bytes.
    #[inline]
    pub(crate) fn spend(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.calls.set(self.calls.get().saturating_sub(1));
    }

    /// True once this run has had its share.
    #[inline]
    pub(crate) fn is_spent(&self, clock: &Clock) -> bool {
        self.bytes.get() == 0 || (self.calls.get() == 0 && self.is_late(clock.now_ns()))
    }

    #[cold]
    fn is_late(&self, now_ns: u64) -> bool {
        // The run's time starts at the first look, not with the run: a read of the clock at each
        // start would cost every run, and this way a run gets at most a few calls more.
        let since_ns = self.since_ns.get().unwrap_or(now_ns);
        let is_late = now_ns.saturating_sub(since_ns) > RUN_NS;
        self.since_ns.set(Some(since_ns));
        // A run that is late stays late: with 0 calls left, each further check lands here again.
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
        budget.refill(RUN_BYTES);
        budget.spend(RUN_BYTES - 1);
        assert!(!budget.is_spent(&clock));
        budget.spend(2);
        assert!(budget.is_spent(&clock));
        budget.refill(RUN_BYTES);
        assert!(!budget.is_spent(&clock));
    }

    #[test]
    fn time_runs_out_even_when_few_bytes_move() {
        let (budget, clock) = (Budget::default(), Clock::new_virtual());
        budget.refill(RUN_BYTES);
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
