//! The signal mask of a thread while its loop waits.

use std::mem::MaybeUninit;
use std::ptr;

/// Runs a function with SIGPROF blocked, so that a profiler does not end each wait.
pub(crate) fn without_sigprof<T>(run: impl FnOnce() -> T) -> T {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) writes the mask.
    unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
    // SAFETY: it is filled in.
    unsafe { libc::sigaddset(mask.as_mut_ptr(), libc::SIGPROF) };
    let mut before = MaybeUninit::uninit();
    // SAFETY: the mask is filled in, and there is room for the one before.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, mask.as_ptr(), before.as_mut_ptr()) };
    let result = run();
    // SAFETY: pthread_sigmask(3) has filled it in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}
