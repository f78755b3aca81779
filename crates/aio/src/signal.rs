//! Signals on the current loop.

use oneloop_core::{Handle, Signals};
use std::io;

/// Listens for these signals ([`number`](oneloop_core::signal::number)) on the current loop. The
/// result is a stream of signals; its `recv().await` is cancel safe.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside a loop.
#[doc(alias("ctrl_c", "SignalKind", "add_signal_handler"))]
pub fn signals(numbers: &[i32]) -> io::Result<Signals> {
    Signals::new(&Handle::current(), numbers)
}
