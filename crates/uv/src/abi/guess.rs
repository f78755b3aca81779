//! What an open fd is.

use crate::layout::kind;
use libc::c_int;
use std::mem::MaybeUninit;

/// The kind of handle that fits an open fd; 0 if none does.
pub(crate) fn guess(fd: c_int) -> c_int {
    if fd < 0 {
        return 0;
    }
    // SAFETY: isatty(3) of a number that is no fd fails.
    if unsafe { libc::isatty(fd) } == 1 {
        return kind::TTY;
    }
    let mut status = MaybeUninit::uninit();
    // SAFETY: there is room for it.
    if unsafe { libc::fstat(fd, status.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: fstat(2) has succeeded.
    let mode = unsafe { status.assume_init_ref() }.st_mode;
    match mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFCHR => kind::FILE,
        libc::S_IFIFO => kind::NAMED_PIPE,
        libc::S_IFSOCK => guess_socket(fd),
        _ => 0,
    }
}

fn guess_socket(fd: c_int) -> c_int {
    let (Some(family), Some(style)) = (
        socket_option(fd, libc::SO_DOMAIN),
        socket_option(fd, libc::SO_TYPE),
    ) else {
        return 0;
    };
    match (family, style) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => kind::TCP,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => kind::UDP,
        (libc::AF_UNIX, libc::SOCK_STREAM) => kind::NAMED_PIPE,
        (libc::AF_UNIX, libc::SOCK_DGRAM) => kind::UDP,
        _ => 0,
    }
}

/// A number that is an option of a socket.
fn socket_option(fd: c_int, option: c_int) -> Option<c_int> {
    let (mut value, mut size) = (0, size_of::<c_int>() as libc::socklen_t);
    let target = (&raw mut value).cast();
    // SAFETY: the target has that size.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, target, &mut size) };
    (result == 0).then_some(value)
}
