//! Catching what unwinds through a green thread, and letting it go on.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// Calls a function, and catches whatever unwinds through it: a panic, a kill, a time-out of further out.
/// It is [`std::panic::catch_unwind`], for functions of any kind.
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
    panic::catch_unwind(AssertUnwindSafe(function))
}

/// Lets something that was caught go on: [`std::panic::resume_unwind`], under one roof with
/// [`catch_unwind`].
pub fn resume_unwind(payload: Box<dyn Any + Send>) -> ! {
    panic::resume_unwind(payload)
}
