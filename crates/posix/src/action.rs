//! What a signal does: `sigaction(2)`, and what handlers have in common.

use libc::{SA_RESETHAND, SA_SIGINFO, SIG_DFL, SIG_IGN, c_int, c_void, siginfo_t};
use std::mem::{self, MaybeUninit};
use std::{io, ptr};

/// A handler with `SA_SIGINFO`.
pub(crate) type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

pub(crate) fn is_default_or_ignored(action: &libc::sigaction) -> bool {
    matches!(action.sa_sigaction, SIG_DFL | SIG_IGN)
}

/// The action with a handler of ours in the place of that one: on its terms, as it is called from there.
pub(crate) fn instead_of(before: &libc::sigaction, handler: Handler) -> libc::sigaction {
    let mut ours = *before;
    ours.sa_sigaction = handler as *const () as usize;
    ours.sa_flags = (ours.sa_flags | SA_SIGINFO) & !SA_RESETHAND;
    ours
}

/// Leaves errno as it is for the code that a signal came upon.
pub(crate) fn keep_errno(handle: impl FnOnce()) {
    // SAFETY: a thread's errno is there as long as the thread.
    let errno = unsafe { *libc::__errno_location() };
    handle();
    // SAFETY: the same.
    unsafe { *libc::__errno_location() = errno };
}

/// Calls the handler that was there before ours.
pub(crate) fn call(
    before: &libc::sigaction,
    number: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    if before.sa_flags & SA_SIGINFO == 0 {
        // SAFETY: without SA_SIGINFO sigaction(2) has a handler be such a function, and whoever
        // installed it has it stay where it is.
        let handler: extern "C" fn(c_int) = unsafe { mem::transmute(before.sa_sigaction) };
        return handler(number);
    }
    // SAFETY: the same, with SA_SIGINFO.
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
        unsafe { mem::transmute(before.sa_sigaction) };
    handler(number, info, context);
}

/// Goes back to the default action, and gives what there was.
pub(crate) fn set_default(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: the type may be all zeros, and means the default action.
    let default = unsafe { mem::zeroed() };
    // SAFETY: it calls no function.
    unsafe { set_action(number, &default) }
}

/// What a signal does now.
pub(crate) fn action(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: nothing is set.
    unsafe { sigaction(number, ptr::null()) }
}

/// Changes what a signal does, and gives what it did.
///
/// # Safety
/// A handler has the signature that the flags say, and is async-signal-safe.
pub(crate) unsafe fn set_action(
    number: c_int,
    action: &libc::sigaction,
) -> io::Result<libc::sigaction> {
    // SAFETY: the caller's, of the handler; a reference can be read.
    unsafe { sigaction(number, action) }
}

/// `sigaction(2)`, which sets nothing if it is given null.
///
/// # Safety
/// What is to be set is null or can be read, and is as [`set_action`] needs it.
unsafe fn sigaction(number: c_int, set: *const libc::sigaction) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller's; there is room for what was set.
    match unsafe { libc::sigaction(number, set, before.as_mut_ptr()) } {
        // SAFETY: sigaction(2) has filled it in.
        0 => Ok(unsafe { before.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
