//! Signals, in gevent's words.

use crate::thread::spawn;
use oneloop_core::{Handle, JoinHandle, Signals};
use std::io;
use std::rc::Rc;

/// Calls a function for each signal, until it is dropped: see [`signal_handler`].
#[derive(Debug)]
#[must_use = "dropped, the function is called no more"]
pub struct SignalHandler {
    hears: JoinHandle<()>,
}

impl SignalHandler {
    /// Calls the function no more. What it has begun goes on.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Drop for SignalHandler {
    fn drop(&mut self) {
        self.hears.cancel();
    }
}

/// Calls a function in a green thread of its own whenever that signal
/// ([`number`](oneloop_core::signal::number)) comes: gevent's `signal_handler`. Listening keeps no loop
/// alive. To wait for a signal instead: `Signals::new(..)?.recv().wait()`.
///
/// # Errors
/// As [`Signals::new`].
///
/// # Panics
/// Outside of a loop.
pub fn signal_handler(number: i32, function: impl Fn() + 'static) -> io::Result<SignalHandler> {
    let handle = Handle::current();
    let signals = Signals::new(&handle, &[number])?;
    let function = Rc::new(function);
    let hears = handle.spawn(async move {
        while signals.recv().await.is_ok() {
            let function = Rc::clone(&function);
            drop(spawn(move || function()));
        }
    });
    Ok(SignalHandler { hears })
}
