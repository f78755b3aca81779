//! What a service counts: connections and bytes on each loop, and trouble with accepting. Other
//! threads may read it.

use crate::close_reason::End;
use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A count that one thread changes, and any thread reads. To add is a load, an addition and a store:
/// no more than for a plain integer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        // No `fetch_add`: that locks the bus, and no other thread writes here.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that were received from a client, and taken by the kernel for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What a service counts on one loop. Only that loop's thread writes.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Connections that were accepted and are served here.
    pub(crate) accepted: Count,
    /// Bytes received from clients.
    pub(crate) received: Count,
    /// Bytes that the kernel has taken for clients.
    pub(crate) sent: Count,
    closed: [Count; End::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            accepted: Count::default(),
            received: Count::default(),
            sent: Count::default(),
            closed: array::from_fn(|_| Count::default()),
        }
    }
}

impl Counters {
    /// Counts a connection that has ended.
    pub(crate) fn close(&self, end: End) {
        self.closed[end as usize].add(1);
    }

    /// How many connections have ended like this.
    pub(crate) fn closed(&self, end: End) -> u64 {
        self.closed[end as usize].get()
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> u64 {
        let closed: u64 = End::ALL.iter().map(|end| self.closed(*end)).sum();
        // Another thread may read a newer count of ends than of begins.
        self.accepted.get().saturating_sub(closed)
    }
}

/// What a service counts on all loops.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    loops: Mutex<Vec<Arc<Counters>>>,
    /// How often accepting has failed, by the numbers of the errors.
    accept_errors: Mutex<BTreeMap<i32, u64>>,
    /// Listeners that accept, on all loops.
    listeners: AtomicUsize,
}

impl Tally {
    /// The counters of one more loop.
    pub(crate) fn add_loop(&self) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        lock(&self.loops).push(Arc::clone(&counters));
        counters
    }

    /// The counters of each loop.
    pub(crate) fn loops(&self) -> Vec<Arc<Counters>> {
        lock(&self.loops).clone()
    }

    /// Counts errors of accepting, given by their numbers.
    pub(crate) fn add_accept_errors(&self, errors: impl IntoIterator<Item = (i32, u64)>) {
        let mut all = lock(&self.accept_errors);
        for (errno, more) in errors {
            *all.entry(errno).or_default() += more;
        }
    }

    /// How often accepting has failed, by the numbers of the errors.
    pub(crate) fn accept_errors(&self) -> Vec<(i32, u64)> {
        let all = lock(&self.accept_errors);
        all.iter().map(|(errno, count)| (*errno, *count)).collect()
    }

    pub(crate) fn add_listener(&self) {
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_listener(&self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }

    /// Listeners that accept, on all loops.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that holds the lock can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_open_until_they_end() {
        let counters = Counters::default();
        counters.accepted.add(3);
        counters.close(End::Closed);
        counters.close(End::IdleTimeout);
        assert_eq!(counters.open(), 1);
        assert_eq!(counters.closed(End::IdleTimeout), 1);
        counters.close(End::Closed);
        counters.close(End::Closed);
        assert_eq!(counters.open(), 0, "another thread may see the ends first");
    }

    #[test]
    fn errors_of_all_listeners_are_added_up() {
        let tally = Tally::default();
        tally.add_accept_errors([(24, 1), (12, 2)]);
        tally.add_accept_errors([(24, 3)]);
        assert_eq!(tally.accept_errors(), [(12, 2), (24, 4)]);
    }
}
