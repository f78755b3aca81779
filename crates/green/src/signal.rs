//! Signals: gevent's `signal_handler`.

use crate::spawn::spawn;
use oneloop_core::{Handle, JoinHandle, Signals};
use std::io;
use std::rc::Rc;

/// Calls a function for each signal until it is dropped: see [`signal_handler`].
#[derive(Debug)]
#[must_use = "the handler is removed when this is dropped"]
pub struct SignalHandler {
    receiver: JoinHandle<()>,
}

impl SignalHandler {
    /// Removes the handler. Green threads that it has started continue.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Drop for SignalHandler {
    fn drop(&mut self) {
        self.receiver.cancel();
    }
}

/// Calls a function on a new green thread whenever the process receives that signal
/// ([`number`](oneloop_core::signal::number)): gevent's `signal_handler`. Listening does not keep
/// the loop alive. To wait for a signal instead: `Signals::new(..)?.recv().wait()`.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "signal")]
#[track_caller]
pub fn signal_handler(number: i32, function: impl Fn() + 'static) -> io::Result<SignalHandler> {
    let handle = Handle::current();
    let signals = Signals::new(&handle, &[number])?;
    let function = Rc::new(function);
    // A task, and not a green thread: it needs no stack while it waits for a signal.
    let receiver = handle.spawn(async move {
        while signals.recv().await.is_ok() {
            let function = Rc::clone(&function);
            drop(spawn(move || function()));
        }
    });
    Ok(SignalHandler { receiver })
}
