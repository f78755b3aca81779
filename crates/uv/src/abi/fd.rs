//! The caller's fds.

use rustix::event::epoll;
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// An fd of the caller, which keeps it open while the library uses it. A number that is no open fd
/// is an error of the system calls, as libuv's callers expect.
///
/// # Panics
/// For -1.
pub(crate) fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    assert!(fd != -1);
    // SAFETY: the number is not -1. The caller says which fds the library may use, and for how
    // long; `close` is for those that it has handed over.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Checks whether epoll takes a file.
///
/// # Errors
/// `EBADF` for a number that is no open fd, `EPERM` for a regular file or a directory.
pub(crate) fn is_pollable(fd: RawFd) -> Result<(), Errno> {
    let mut status = MaybeUninit::uninit();
    // SAFETY: there is room for it.
    if unsafe { libc::fstat(fd, status.as_mut_ptr()) } != 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: fstat(2) has succeeded.
    let mode = unsafe { status.assume_init_ref() }.st_mode;
    match mode & libc::S_IFMT {
        libc::S_IFSOCK | libc::S_IFIFO => Ok(()),
        libc::S_IFREG | libc::S_IFDIR => Err(Errno::PERM),
        // Only the kernel knows whether a device, an eventfd, or another epoll can be polled.
        _ => {
            let trial = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            epoll::add(
                trial,
                borrow(fd),
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN,
            )
        }
    }
}

/// Closes an fd that belongs to a handle. The standard streams stay open, as in libuv: the program
/// writes to them by other means, too.
pub(crate) fn close(fd: RawFd) {
    if fd > libc::STDERR_FILENO {
        // SAFETY: the handle owned it, and forgets it with this call.
        unsafe { libc::close(fd) };
    }
}

/// Takes over an fd that nothing else owns.
pub(crate) fn own(fd: RawFd) -> OwnedFd {
    assert!(fd != -1);
    // SAFETY: a handle kept it as a number, and forgets it with this call.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
