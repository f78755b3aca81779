//! Signals on the current loop.

use oneloop_core::{Handle, Signals, signal};
use std::io;

/// Listens for these signals ([`number`](oneloop_core::signal::number)) on the current loop. The
/// result is a stream of signals; its `recv().await` is cancel safe.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside a loop.
#[doc(alias("SignalKind", "add_signal_handler"))]
#[track_caller]
pub fn signals(numbers: &[i32]) -> io::Result<Signals> {
    Signals::new(&Handle::current(), numbers)
}

/// Waits for SIGINT, which Ctrl-C sends: tokio's `signal::ctrl_c`.
///
/// Listening begins with the first poll, and ends with the future. Then the signal has its previous
/// action again, so a second Ctrl-C ends the program; tokio keeps listening. In a loop, pass the same
/// future to each [`select!`](crate::select!) (`&mut ctrl_c`), or use a `ShutdownToken`, which also
/// asks several tasks to end.
///
/// Not cancel safe: a signal that arrived as the future was dropped is lost. [`signals`] keeps it for
/// the next `recv`.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside a loop.
pub async fn ctrl_c() -> io::Result<()> {
    signals(&[signal::number::SIGINT])?.recv().await.map(drop)
}
