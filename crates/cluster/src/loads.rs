//! How many connections each loop has, and which loop gets the next one.

use oneloop_core::concurrency::AtomicUsize;
use std::sync::atomic::Ordering;

/// The count of one loop, on a cache line of its own: each loop changes its own all the time.
#[derive(Debug)]
#[repr(align(64))]
struct Load(AtomicUsize);

/// The number of open connections of each loop of a cluster.
///
/// The counts are exact, and hints all the same: no decision needs two of them at one moment, so
/// every access is relaxed.
#[derive(Debug)]
pub(crate) struct Loads {
    counts: Box<[Load]>,
}

impl Loads {
    pub(crate) fn new(loops: usize) -> Self {
        let counts = (0..loops).map(|_| Load(AtomicUsize::new(0)));
        Loads {
            counts: counts.collect(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> usize {
        self.counts[index].0.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.counts.len())
            .map(|index| self.get(index))
            .collect()
    }

    /// Counts a connection of that loop, whatever is fair.
    pub(crate) fn add(&self, index: usize) {
        self.counts[index].0.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the count of a connection; returns how many are left.
    pub(crate) fn remove(&self, index: usize) -> usize {
        self.counts[index].0.fetch_sub(1, Ordering::Relaxed) - 1
    }

    /// Counts a connection that the loop `own` has accepted for the loop that should serve it, and
    /// returns that loop: `own`, or the one with the fewest connections if `own` has more than is
    /// fair. Loops that are not open get none.
    #[inline]
    pub(crate) fn place(&self, own: usize, is_open: impl Fn(usize) -> bool) -> usize {
        if self.counts.len() == 1 {
            self.add(own);
            return own;
        }
        self.place_among(own, |index| index == own || is_open(index))
    }

    fn place_among(&self, own: usize, is_open: impl Fn(usize) -> bool) -> usize {
        let open = || (0..self.counts.len()).filter(|index| is_open(*index));
        // Another thread may choose the same loop at the same time, so each try looks again.
        for _ in 0..self.counts.len() {
            let total: usize = open().map(|index| self.get(index)).sum();
            let fair = fair(total, open().count());
            if self.try_add(own, fair) {
                return own;
            }
            let least = open().min_by_key(|index| self.get(*index));
            if let Some(least) = least.filter(|least| self.try_add(*least, fair)) {
                return least;
            }
        }
        self.add(own);
        own
    }

    /// Counts a connection of a loop that is gone for the open loop with the fewest; returns that.
    pub(crate) fn place_elsewhere(&self, is_open: impl Fn(usize) -> bool) -> Option<usize> {
        let open = (0..self.counts.len()).filter(|index| is_open(*index));
        let least = open.min_by_key(|index| self.get(*index))?;
        self.add(least);
        Some(least)
    }

    /// Counts a connection of that loop unless it has `fair` of them. Not a `fetch_add` that is
    /// taken back: for that moment, other loops would take more for fair than is.
    fn try_add(&self, index: usize, fair: usize) -> bool {
        let add = |count| (count < fair).then_some(count + 1);
        let count = &self.counts[index].0;
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }
}

/// The maximum number of connections of one loop once all `loops` loops have one more than `total`:
/// a tenth more than the mean so far, and this one. A tighter limit would move more connections,
/// each for a wake of another thread; a wider one would miss 1.15 times the mean for 64 connections
/// on 8 loops.
fn fair(total: usize, loops: usize) -> usize {
    total * 11 / (loops * 10) + 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Where connections end up that the kernel gives to these loops, one after the other.
    fn placed(loops: usize, hashed: impl Iterator<Item = usize>) -> (Loads, usize) {
        let loads = Loads::new(loops);
        let moved = hashed.filter(|own| loads.place(*own, |_| true) != *own);
        let moved = moved.count();
        (loads, moved)
    }

    fn max_over_mean(loads: &Loads) -> f64 {
        let all = loads.all();
        let total: usize = all.iter().sum();
        let max = all.iter().max().unwrap();
        *max as f64 * all.len() as f64 / total as f64
    }

    #[test]
    fn connections_that_the_kernel_gives_to_one_loop_are_shared() {
        let (loads, _) = placed(8, std::iter::repeat_n(3, 64));
        assert!(max_over_mean(&loads) <= 1.15, "{:?}", loads.all());
        let (loads, _) = placed(8, std::iter::repeat_n(3, 1000));
        assert!(max_over_mean(&loads) <= 1.15, "{:?}", loads.all());
    }

    #[test]
    fn connections_that_come_evenly_stay_where_they_are() {
        let (loads, moved) = placed(8, (0..1000).map(|number| number % 8));
        assert_eq!((loads.all(), moved), (vec![125; 8], 0));
    }

    #[test]
    fn a_loop_that_is_not_open_gets_no_connection() {
        let loads = Loads::new(3);
        for _ in 0..30 {
            loads.place(0, |index| index != 2);
        }
        assert_eq!(loads.get(2), 0);
        assert!(loads.get(1) >= 13, "{:?}", loads.all());
        assert_eq!(loads.place_elsewhere(|index| index == 2), Some(2));
        assert_eq!(loads.place_elsewhere(|_| false), None);
    }

    #[test]
    fn the_first_connections_go_to_idle_loops() {
        let (loads, _) = placed(4, std::iter::repeat_n(0, 4));
        assert_eq!(loads.all(), [1; 4]);
    }

    #[test]
    fn threads_that_place_at_once_exceed_no_limit() {
        let loads = Loads::new(8);
        std::thread::scope(|scope| {
            for own in 0..8 {
                let loads = &loads;
                scope.spawn(move || {
                    (0..8).for_each(|_| {
                        let _ = loads.place(own % 2, |_| true);
                    })
                });
            }
        });
        assert_eq!(loads.all().iter().sum::<usize>(), 64);
        assert!(max_over_mean(&loads) <= 1.15, "{:?}", loads.all());
    }
}
