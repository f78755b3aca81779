//! One core for each loop.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// The cores that a thread may use, as they are when its pin is dropped again.
#[derive(Debug)]
pub(crate) struct Pin {
    before: CpuSet,
}

impl Pin {
    /// Pins this thread to one of the cores that it may use: the `index`-th of them, counted in a
    /// circle. A container or `taskset` may leave it fewer cores than the machine has.
    ///
    /// # Errors
    /// Those of `sched_setaffinity(2)`, which a sandbox may forbid.
    pub(crate) fn new(index: usize) -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| before.is_set(*cpu))
            .collect();
        let mut one = CpuSet::new();
        one.set(allowed[index % allowed.len()]); // the kernel never leaves a thread without a core
        sched_setaffinity(None, &one)?;
        Ok(Pin { before })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // For the thread of the first loop, which lives on. The cores were allowed before.
        let _ = sched_setaffinity(None, &self.before);
    }
}
