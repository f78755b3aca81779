//! Catching a payload that unwinds a green thread, and unwinding with it again.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// Calls a function, and catches any payload that unwinds it: a panic, a kill, an outer timeout. It
/// is [`std::panic::catch_unwind`], for functions that need not be unwind safe.
///
/// ```
/// use oneloop::green::{catch_unwind, run, sleep, spawn, yield_now};
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
/// The payload. Give it to [`resume_unwind`] unless the unwinding has to stop here.
pub fn catch_unwind<T>(function: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    // Asserted, as a kill or a timeout can unwind any function here: all of them have to expect it.
    panic::catch_unwind(AssertUnwindSafe(function))
}

/// Unwinds again with a payload that was caught: [`std::panic::resume_unwind`].
pub fn resume_unwind(payload: Box<dyn Any + Send>) -> ! {
    panic::resume_unwind(payload)
}
