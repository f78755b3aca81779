//! What unwinds through a green stack: the tokens of this crate, and how they differ from a panic.

use oneloop_core::JoinError;
use std::any::Any;

/// Ends a green thread: see [`Thread::kill`](crate::Thread::kill).
// A token without fields: to box it allocates nothing, so that a kill cannot fail.
pub(crate) struct Kill;

/// Ends a green thread whose loop is being dropped.
pub(crate) struct Close;

/// Ends the [`timeout`](crate::timeout) with this id, which catches it.
pub(crate) struct TimedOut(pub(crate) u64);

/// Ends the [`scope`](crate::scope) at this address, which catches it.
pub(crate) struct ScopeFailed(pub(crate) usize);

/// Why a green thread has no value, given what unwound its stack.
pub(crate) fn error_of(payload: Box<dyn Any + Send>) -> JoinError {
    if payload.is::<Kill>() {
        JoinError::Killed
    } else if payload.is::<Close>() {
        JoinError::Canceled
    } else {
        JoinError::Panicked(payload)
    }
}

/// True if the payload that [`catch_unwind`](crate::catch_unwind) caught is a kill, and not a panic
/// or an outer timeout: `except GreenletExit`.
///
/// ```
/// use oneloop::green::{JoinError, catch_unwind, is_kill, run, sleep, spawn, yield_now};
/// use std::{panic::resume_unwind, time::Duration};
/// let killed = run(|| {
///     let thread = spawn(|| {
///         if let Err(payload) = catch_unwind(|| sleep(Duration::from_secs(3600))) {
///             assert!(is_kill(&*payload));
///             resume_unwind(payload);
///         }
///     });
///     yield_now();
///     thread.kill();
///     matches!(thread.join(), Err(JoinError::Killed))
/// })?;
/// assert!(killed);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "GreenletExit")]
pub fn is_kill(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Kill>()
}

/// True for a payload that ends a green thread from outside, rather than by its own failure.
pub(crate) fn is_ending(payload: &(dyn Any + Send)) -> bool {
    is_kill(payload) || payload.is::<Close>()
}
