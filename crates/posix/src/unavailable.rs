//! System calls that are not available here: which errors say so, and remembering that they did.
//!
//! Callers have a plain way around such a call, and take it. The true error of a file or a connection
//! must never be taken for a refusal: the kernel reports the error of a socket once.

use rustix::io::Errno;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel does not have the call, or a sandbox forbids it. Whatever the file, it stays so:
    /// a seccomp filter cannot be removed.
    Everywhere,
    /// The call does not work on this kind of file, or on this file system.
    ThisFile,
}

impl Refusal {
    /// What this error says of a call that has a plain way around it; `None` for an error that is to be
    /// reported.
    #[inline]
    pub fn of(errno: Errno) -> Option<Self> {
        match errno {
            // Kernels without the call and most sandboxes say ENOSYS. Docker's seccomp profile and
            // systemd's SystemCallFilter= say EPERM. No call with a plain way has an EPERM of its own,
            // but for the sendmsg(2) family, where a firewall says it: see `Optional::may_be_refused_by`.
            Errno::NOSYS | Errno::PERM => Some(Refusal::Everywhere),
            Errno::INVAL | Errno::OPNOTSUPP => Some(Refusal::ThisFile),
            _ => None,
        }
    }

    /// The same of an error that carries an errno.
    pub fn of_error(error: &io::Error) -> Option<Self> {
        Errno::from_io_error(error).and_then(Refusal::of)
    }

    /// Passes over the refusal of a setting that the caller can do without.
    ///
    /// # Errors
    /// Every other error of the setting.
    pub fn pass_over<E: Into<io::Error>>(set: Result<(), E>) -> io::Result<()> {
        let Err(error) = set.map_err(E::into) else {
            return Ok(());
        };
        match Refusal::of_error(&error) {
            Some(Refusal::Everywhere) => Ok(()),
            _ => Err(error),
        }
    }
}

/// A system call with a plain way around it, and whether this process has it. Meant to be a `static`, so
/// that a refused call is not made again.
#[derive(Debug, Default)]
pub struct Optional {
    is_refused: AtomicBool,
}

impl Optional {
    /// A call that has not been refused yet.
    pub const fn new() -> Self {
        Optional {
            is_refused: AtomicBool::new(false),
        }
    }

    /// False once it was refused [everywhere](Refusal::Everywhere).
    #[inline]
    pub fn is_available(&self) -> bool {
        !self.is_refused.load(Ordering::Relaxed)
    }

    /// True if this error of the call asks for the plain way. Remembers a refusal that holds everywhere.
    pub fn is_refused_by(&self, error: &io::Error) -> bool {
        let refusal = Refusal::of_error(error);
        if refusal == Some(Refusal::Everywhere) {
            self.refuse();
        }
        refusal.is_some()
    }

    /// The same for a call whose `EPERM` may be about what it was given: remembers nothing. Call
    /// [`refuse`](Optional::refuse) once the plain way has worked.
    pub fn may_be_refused_by(&self, error: &io::Error) -> bool {
        Refusal::of_error(error) == Some(Refusal::Everywhere)
    }

    /// Remembers that it is refused.
    pub fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// `preadv2(2)`, which reads files and pipes without waiting. One value for all crates: a filter that
/// refuses the call refuses it for every kind of fd.
pub static PREADV2: Optional = Optional::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sandbox_refuses_is_remembered() {
        for errno in [Errno::PERM, Errno::NOSYS] {
            let call = Optional::new();
            assert!(call.is_refused_by(&errno.into()));
            assert!(!call.is_available(), "{errno}");
        }
    }

    #[test]
    fn what_one_file_refuses_is_asked_of_the_next_one() {
        for errno in [Errno::INVAL, Errno::OPNOTSUPP] {
            let call = Optional::new();
            assert!(call.is_refused_by(&errno.into()));
            assert!(call.is_available(), "{errno}");
        }
    }

    #[test]
    fn the_error_of_a_connection_is_no_refusal() {
        let all = (1..134).map(Errno::from_raw_os_error);
        let refusals: Vec<_> = all.filter(|errno| Refusal::of(*errno).is_some()).collect();
        let four = [Errno::PERM, Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
        assert_eq!(refusals, four);
    }
}
