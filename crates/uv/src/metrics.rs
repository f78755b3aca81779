//! What a loop counts.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The counts of a loop. Other threads ask for the idle time.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) turns: Cell<u64>,
    pub(crate) events: Cell<u64>,
    /// The events that were there already when the loop asked for them.
    pub(crate) waiting_events: Cell<u64>,
    is_idle_measured: AtomicBool,
    idle_ns: AtomicU64,
    /// The time at which the current wait began; 0 while the loop does not wait.
    waiting_since_ns: AtomicU64,
}

impl Metrics {
    pub(crate) fn measure_idle_time(&self) {
        self.is_idle_measured.store(true, Ordering::Relaxed);
    }

    /// True if waits are measured: that costs two readings of the clock for each.
    pub(crate) fn is_idle_measured(&self) -> bool {
        self.is_idle_measured.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_wait(&self, now_ns: u64) {
        self.waiting_since_ns.store(now_ns, Ordering::SeqCst);
    }

    pub(crate) fn end_wait(&self, now_ns: u64) {
        let since_ns = self.waiting_since_ns.swap(0, Ordering::SeqCst);
        self.idle_ns
            .fetch_add(now_ns.saturating_sub(since_ns), Ordering::SeqCst);
    }

    /// Counts the events of a wait, which could sleep or not.
    pub(crate) fn count(&self, events: usize, could_sleep: bool) {
        let events = events as u64;
        self.events.set(self.events.get() + events);
        if !could_sleep {
            self.waiting_events.set(self.waiting_events.get() + events);
        }
    }

    /// The time for which the loop has waited so far.
    pub(crate) fn idle_ns(&self, now_ns: u64) -> u64 {
        let current_ns = match self.waiting_since_ns.load(Ordering::SeqCst) {
            0 => 0,
            since_ns => now_ns.saturating_sub(since_ns),
        };
        self.idle_ns.load(Ordering::SeqCst) + current_ns
    }
}
