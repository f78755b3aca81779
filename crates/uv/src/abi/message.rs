//! How the library ends the process: with a message.

use std::process;

/// Prints a line to stderr and aborts.
pub(super) fn abort_with(text: &str) -> ! {
    oneloop_core::report(text);
    process::abort()
}

/// Aborts when it is dropped: on the way of a panic.
struct Seal;

impl Drop for Seal {
    fn drop(&mut self) {
        abort_with("oneloop: the library panicked, which is a bug in it");
    }
}

/// Runs code of the library in a function through which the caller's code may unwind. A panic must
/// not do that: it would leave the loop half-changed.
pub(super) fn sealed<T>(run: impl FnOnce() -> T) -> T {
    let seal = Seal;
    let result = run();
    std::mem::forget(seal);
    result
}
