//! The fds with which a process was started.

use libc::c_int;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Takes an fd with which this process was started, such as a socket of a service manager
/// (`sd_listen_fds(3)`), and closes it when this process executes another program.
///
/// An fd that passed through `execve(2)` has no `CLOEXEC`; one that this process opened has it, as
/// the standard library and Oneloop set it on all of theirs. So an fd that has the flag is refused:
/// it has an owner already, for example because it was taken before.
///
/// # Errors
/// `EBADF` if it is not open; [`InvalidInput`](io::ErrorKind::InvalidInput) if this process opened
/// or took it.
pub fn take_inherited(number: c_int) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        let problem = "the standard streams have an owner: the standard library";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    // SAFETY: fcntl(2) with these commands takes any number, and touches no memory.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        let problem = "this process opened it itself";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the fd is open, and was until now without CLOEXEC, so it has come through execve(2)
    // and has no owner; with the flag set, no second call takes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_an_fd_without_an_owner_is_taken() {
        let own = File::open("/dev/null").unwrap();
        let error = take_inherited(own.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(
            take_inherited(1).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        let closed = take_inherited(1_000_000).unwrap_err();
        assert_eq!(closed.raw_os_error(), Some(libc::EBADF));
        assert_eq!(
            take_inherited(-1).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        drop(own);
    }

    #[test]
    fn an_inherited_fd_is_taken_once() {
        let own = File::open("/dev/null").unwrap();
        // SAFETY: dup(2) takes any fd. Its result has no CLOEXEC, and no owner: as after execve(2).
        let inherited = unsafe { libc::dup(own.as_raw_fd()) };
        let taken = take_inherited(inherited).unwrap();
        assert_eq!(taken.as_raw_fd(), inherited);
        assert!(take_inherited(inherited).is_err(), "it has an owner now");
    }
}
