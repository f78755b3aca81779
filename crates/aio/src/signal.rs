//! Signals, with `await`.

use oneloop_core::{Handle, Signals};
use std::io;

/// Listens to these signals ([`number`](oneloop_core::signal::number)), on the loop that runs. What comes
/// is a stream: `signals.recv().await`, which is cancel safe.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside of a loop.
pub fn signals(numbers: &[i32]) -> io::Result<Signals> {
    Signals::new(&Handle::current(), numbers)
}
