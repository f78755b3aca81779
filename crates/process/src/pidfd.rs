//! What can be done with a pidfd: open, reap, signal.

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, getpid, pidfd_open, waitid,
};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

/// `PIDFD_SIGNAL_PROCESS_GROUP` of Linux 6.9: to the group that it leads, or has led.
const TO_GROUP: u32 = 1 << 2;

/// A pidfd of this process. Held while a child is started, it shows that the kernel has pidfds, and keeps
/// a place among the open files free for the child's.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) without pidfds; `EMFILE`, `ENFILE`.
pub(crate) fn reserve() -> io::Result<OwnedFd> {
    pidfd_open(getpid(), PidfdFlags::empty()).map_err(|error| match error {
        Errno::NOSYS | Errno::PERM => io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "child processes need pidfd_open(2), which this kernel or sandbox refuses: {error}"
            ),
        ),
        error => error.into(),
    })
}

/// The pidfd of a child that was not reaped; none if the kernel has reaped it, as `SIGCHLD` is ignored.
pub(crate) fn open(pid: Pid) -> io::Result<Option<OwnedFd>> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes the exit status of a child, if it has ended. It is not a zombie any more then.
///
/// # Errors
/// `ECHILD` if somebody else has taken it.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = waitid(WaitId::PidFd(pidfd), options)?;
    Ok(status.map(|status| exit_status(&status)))
}

/// The same in the words of `wait(2)`.
fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    let signal = status.terminating_signal().unwrap_or(0);
    let dumped = if status.dumped() { 0x80 } else { 0 };
    ExitStatus::from_raw(match status.exit_status() {
        Some(code) => (code & 0xff) << 8,
        None => signal | dumped,
    })
}

/// Sends a signal to the process, and to no other that has got its number since.
///
/// # Errors
/// `ESRCH` once it was reaped; `EPERM`; `EINVAL` for what is no signal.
pub(crate) fn signal(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    send(pidfd, number, 0)
}

/// Sends a signal to all of the group that the process leads or has led.
///
/// # Errors
/// As [`signal`]; `EINVAL` before Linux 6.9.
pub(crate) fn signal_group(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    send(pidfd, number, TO_GROUP)
}

#[allow(unsafe_code)]
fn send(pidfd: BorrowedFd<'_>, number: i32, flags: u32) -> io::Result<()> {
    let call = libc::SYS_pidfd_send_signal;
    let info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null `siginfo_t` has the kernel fill in its own, so it reads none of our memory.
    let result = unsafe { libc::syscall(call, pidfd.as_raw_fd(), number, info, flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
