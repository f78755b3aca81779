//! Which errors a system call may return, and one of them at one call.

use std::fmt;

/// The plausible errors of each call, by strace's name. A call that is not listed has no error of
/// its own that a correct caller can meet.
const ERRNOS: &[(&str, &[&str])] = &[
    // Sockets.
    ("socket", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]),
    ("socketpair", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("bind", &["EADDRINUSE", "EACCES", "ENOMEM"]),
    ("listen", &["EADDRINUSE"]),
    (
        "accept4",
        &[
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
            "EINTR",
            "ECONNABORTED",
            "EPROTO",
            "EPERM",
            "ETIMEDOUT",
            "EHOSTUNREACH",
        ],
    ),
    (
        "connect",
        &[
            "ECONNREFUSED",
            "ETIMEDOUT",
            "ENETUNREACH",
            "EADDRNOTAVAIL",
            "EINTR",
            "ENOBUFS",
        ],
    ),
    (
        "recvfrom",
        &["EINTR", "ECONNRESET", "ETIMEDOUT", "ENOMEM", "EHOSTUNREACH"],
    ),
    ("recvmsg", &["EINTR", "ECONNRESET", "ENOMEM"]),
    ("recvmmsg", &["EINTR", "ENOMEM", "ENOSYS"]),
    (
        "sendto",
        &[
            "EINTR",
            "EPIPE",
            "ECONNRESET",
            "ENOBUFS",
            "ENOMEM",
            "ETIMEDOUT",
        ],
    ),
    (
        "sendmsg",
        &["EINTR", "EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM"],
    ),
    ("sendmmsg", &["EINTR", "ENOBUFS", "ENOMEM", "ENOSYS"]),
    ("shutdown", &["ENOTCONN"]),
    ("setsockopt", &["EINVAL", "ENOPROTOOPT", "ENOMEM"]),
    ("getsockopt", &["ENOPROTOOPT", "ENOBUFS"]),
    ("getsockname", &["ENOBUFS"]),
    ("getpeername", &["ENOTCONN", "ENOBUFS"]),
    ("splice", &["EINVAL", "EINTR", "ENOMEM", "ECONNRESET"]),
    ("sendfile", &["EINVAL", "EINTR", "ENOMEM", "EIO"]),
    // Files.
    ("open", &["EMFILE", "ENFILE", "ENOENT", "EACCES", "ENOMEM"]),
    (
        "openat",
        &["EMFILE", "ENFILE", "ENOENT", "EACCES", "ENOMEM", "EINTR"],
    ),
    ("read", &["EINTR", "EIO", "ENOMEM"]),
    ("readv", &["EINTR", "EIO"]),
    ("pread64", &["EINTR", "EIO"]),
    ("preadv2", &["EIO", "ENOSYS", "EOPNOTSUPP"]),
    ("write", &["EINTR", "EPIPE", "EIO", "ENOSPC"]),
    ("writev", &["EINTR", "EPIPE", "EIO", "ENOSPC"]),
    ("pwrite64", &["EINTR", "EIO", "ENOSPC"]),
    ("copy_file_range", &["EXDEV", "EINVAL", "EIO", "ENOSPC"]),
    ("statx", &["EACCES", "ENOENT", "ENOMEM", "ENOSYS"]),
    ("newfstatat", &["EACCES", "ENOENT", "ENOMEM"]),
    ("getdents64", &["EIO", "ENOENT"]),
    ("readlink", &["EACCES", "ENOENT"]),
    ("mkdir", &["EACCES", "ENOSPC", "EEXIST"]),
    ("rename", &["EACCES", "ENOSPC", "EXDEV"]),
    ("unlink", &["EACCES", "ENOENT", "EBUSY"]),
    ("unlinkat", &["EACCES", "ENOENT", "EBUSY"]),
    ("rmdir", &["EACCES", "EBUSY", "ENOTEMPTY"]),
    ("fcntl", &["EMFILE"]),
    ("dup", &["EMFILE"]),
    ("pipe2", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("ioctl", &["ENOTTY"]),
    ("inotify_init1", &["EMFILE", "ENOMEM"]),
    (
        "inotify_add_watch",
        &["ENOSPC", "ENOMEM", "ENOENT", "EACCES"],
    ),
    // The loop.
    ("epoll_create1", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("epoll_pwait2", &["EINTR", "ENOSYS", "EPERM"]),
    ("epoll_pwait", &["EINTR"]),
    ("eventfd2", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("poll", &["EINTR", "ENOMEM"]),
    ("ppoll", &["EINTR", "ENOMEM"]),
    // Processes and threads.
    ("clone3", &["EAGAIN", "ENOMEM"]),
    ("clone", &["EAGAIN", "ENOMEM"]),
    ("fork", &["EAGAIN", "ENOMEM"]),
    ("vfork", &["EAGAIN", "ENOMEM"]),
    ("pidfd_open", &["EMFILE", "ENFILE", "ENOMEM", "ENOSYS"]),
    ("pidfd_send_signal", &["ESRCH", "EPERM"]),
    ("waitid", &["EINTR", "ECHILD"]),
    ("wait4", &["EINTR", "ECHILD"]),
    ("prlimit64", &["EPERM"]),
    ("rt_sigaction", &["EPERM"]),
    ("sched_getaffinity", &["EPERM"]),
    ("getrandom", &["ENOSYS"]),
    // Memory.
    ("brk", &["ENOMEM"]),
    ("mmap", &["ENOMEM"]),
    ("mremap", &["ENOMEM"]),
    ("munmap", &["ENOMEM"]),
    ("mprotect", &["ENOMEM"]),
];

/// The errors that end by themselves: the same call, made again, succeeds.
const PASSING: [&str; 1] = ["EINTR"];

/// The plausible errors of a call.
pub(crate) fn errnos(call: &str) -> &'static [&'static str] {
    let found = ERRNOS.iter().find(|(name, _)| *name == call);
    found.map_or(&[], |(_, errnos)| errnos)
}

/// True if a call may return this error again and again.
pub(crate) fn may_persist(errno: &str) -> bool {
    !PASSING.contains(&errno)
}

/// An error at one call, or from that call on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) call: String,
    /// The first call that fails; 1 is the first of its name.
    pub(crate) at: u32,
    pub(crate) errno: String,
    pub(crate) persists: bool,
}

impl Fault {
    /// The expression of strace's `-e`.
    pub(crate) fn expression(&self) -> String {
        let Fault {
            call,
            at,
            errno,
            persists,
        } = self;
        let later = if *persists { "+" } else { "" };
        format!("inject={call}:error={errno}:when={at}{later}")
    }
}

/// The options that select this fault.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how_long = if self.persists {
            "--persistent"
        } else {
            "--once"
        };
        write!(
            f,
            "--call {} --at {} --errno {} {how_long}",
            self.call, self.at, self.errno
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_listed_once() {
        for (index, (call, errnos)) in ERRNOS.iter().enumerate() {
            assert!(
                ERRNOS[..index].iter().all(|(name, _)| name != call),
                "{call}"
            );
            assert!(!errnos.is_empty(), "{call}");
        }
    }

    #[test]
    fn a_fault_is_an_expression_of_strace_and_options_that_select_it() {
        let mut fault = Fault {
            call: "sendto".into(),
            at: 3,
            errno: "ENOBUFS".into(),
            persists: false,
        };
        assert_eq!(fault.expression(), "inject=sendto:error=ENOBUFS:when=3");
        assert_eq!(
            fault.to_string(),
            "--call sendto --at 3 --errno ENOBUFS --once"
        );
        fault.persists = true;
        assert_eq!(fault.expression(), "inject=sendto:error=ENOBUFS:when=3+");
    }
}
