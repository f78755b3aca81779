//! The action of a signal (`sigaction(2)`), and what all handlers have in common.

use libc::{SA_RESETHAND, SA_SIGINFO, SIG_DFL, SIG_IGN, c_int, c_void, siginfo_t};
use std::mem::{self, MaybeUninit};
use std::{io, ptr};

/// A handler with `SA_SIGINFO`.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

pub(crate) fn is_default_or_ignored(action: &libc::sigaction) -> bool {
    matches!(action.sa_sigaction, SIG_DFL | SIG_IGN)
}

/// The action `before` with our handler in its place. Flags and mask stay, because our handler
/// calls the old one, which relies on them.
pub(crate) fn instead_of(before: &libc::sigaction, handler: Handler) -> libc::sigaction {
    let mut ours = *before;
    ours.sa_sigaction = handler as *const () as usize;
    // SA_RESETHAND would remove our handler with the first signal.
    ours.sa_flags = (ours.sa_flags | SA_SIGINFO) & !SA_RESETHAND;
    ours
}

/// Restores errno after the handler: the interrupted code may be about to read it
/// (signal-safety(7)).
pub(crate) fn keep_errno(handle: impl FnOnce()) {
    // SAFETY: a thread's errno lives as long as the thread.
    let errno = unsafe { *libc::__errno_location() };
    handle();
    // SAFETY: the same.
    unsafe { *libc::__errno_location() = errno };
}

/// Calls the handler that was installed before ours.
pub(crate) fn call(
    before: &libc::sigaction,
    number: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    if before.sa_flags & SA_SIGINFO == 0 {
        // SAFETY: without SA_SIGINFO a handler has this signature (sigaction(2)), and the code that
        // installed it keeps it in memory.
        let handler: extern "C" fn(c_int) = unsafe { mem::transmute(before.sa_sigaction) };
        return handler(number);
    }
    // SAFETY: the same, for the signature with SA_SIGINFO.
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
        unsafe { mem::transmute(before.sa_sigaction) };
    handler(number, info, context);
}

/// The default action of a signal.
pub(crate) fn default_action() -> libc::sigaction {
    // SAFETY: all zeros are a valid value, which means the default action.
    unsafe { mem::zeroed() }
}

/// Sets the default action and returns the previous one.
pub(crate) fn set_default(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: the default action has no handler.
    unsafe { set_action(number, &default_action()) }
}

/// The current action of a signal.
pub(crate) fn action(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: null sets nothing.
    unsafe { sigaction(number, ptr::null()) }
}

/// Sets the action of a signal and returns the previous one.
///
/// # Safety
/// The handler has the signature that the flags announce, and is async-signal-safe.
pub(crate) unsafe fn set_action(
    number: c_int,
    action: &libc::sigaction,
) -> io::Result<libc::sigaction> {
    // SAFETY: the caller vouches for the handler, and a reference can be read.
    unsafe { sigaction(number, action) }
}

/// `sigaction(2)`, which sets nothing if `set` is null.
///
/// # Safety
/// `set` is null, or can be read and fulfills the contract of [`set_action`].
unsafe fn sigaction(number: c_int, set: *const libc::sigaction) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller vouches for `set`; `before` has room for the previous action.
    match unsafe { libc::sigaction(number, set, before.as_mut_ptr()) } {
        // SAFETY: sigaction(2) has succeeded and filled it in.
        0 => Ok(unsafe { before.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
