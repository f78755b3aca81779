//! Catching what unwinds through a green thread, and letting it go on.

use crate::switch::Waiting;
use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// Calls a function, and catches whatever unwinds through it: a panic, a kill, a time-out of further out.
///
/// [`std::panic::catch_unwind`] does as well in most programs; but while another green thread waits in
/// its drops, only this one tells that this thread unwinds no more and may be interrupted again.
///
/// ```
/// use oneloop_green::{catch_unwind, run, sleep, spawn, yield_now};
/// use std::time::Duration;
/// let stubborn = run(|| {
///     let stubborn = spawn(|| {
///         let killed = catch_unwind(|| sleep(Duration::from_secs(3600))).is_err();
///         format!("killed: {killed}, and still here")
///     });
///     yield_now();
///     stubborn.kill();
///     stubborn.join().unwrap()
/// })?;
/// assert_eq!(stubborn, "killed: true, and still here");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What unwound. Unless it is to end here, give it to [`resume_unwind`].
pub fn catch_unwind<T>(function: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(function)).inspect_err(|_| caught())
}

/// Lets something that was caught go on: [`std::panic::resume_unwind`], which does as well in most
/// programs. Only this one tells that the thread unwinds again: see [`catch_unwind`].
pub fn resume_unwind(payload: Box<dyn Any + Send>) -> ! {
    if let Some(thread) = Waiting::current() {
        thread.unwinds();
    }
    panic::resume_unwind(payload)
}

/// Something that was thrown has been caught.
pub(crate) fn caught() {
    if let Some(thread) = Waiting::current() {
        thread.caught();
    }
}
