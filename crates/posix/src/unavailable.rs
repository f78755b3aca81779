//! System calls that are unavailable: the errors that report it, and a memory of such reports.
//!
//! Callers have an alternative to such a call, and take it. The true error of a file or a
//! connection must never pass for a refusal, because the kernel reports the error of a socket only
//! once.

use rustix::io::Errno;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The reach of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel does not have the call, or a sandbox forbids it. It stays so for every file: a
    /// seccomp filter cannot be removed (seccomp(2)).
    Everywhere,
    /// The call does not work on this kind of file, or on this file system.
    ThisFile,
}

impl Refusal {
    /// Classifies the error of a call that has an alternative. `None` is an error that the caller
    /// must report.
    #[inline]
    pub fn of(errno: Errno) -> Option<Self> {
        match errno {
            // Kernels without the call and most sandboxes return ENOSYS. Docker's seccomp profile
            // and systemd's SystemCallFilter= return EPERM. No call with an alternative has its own
            // EPERM, except the sendmsg(2) family, where a firewall causes it: see
            // `Optional::may_be_refused_by`.
            Errno::NOSYS | Errno::PERM => Some(Refusal::Everywhere),
            Errno::INVAL | Errno::OPNOTSUPP => Some(Refusal::ThisFile),
            _ => None,
        }
    }

    /// Classifies an error that carries an errno: see [`Refusal::of`].
    pub fn of_error(error: &io::Error) -> Option<Self> {
        Errno::from_io_error(error).and_then(Refusal::of)
    }

    /// Ignores the refusal of a setting that the caller can do without.
    ///
    /// # Errors
    /// All other errors of the setting.
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

/// Remembers whether this process has a system call that has an alternative. It is meant to be a
/// `static`, so that a refused call is not made again.
#[derive(Debug, Default)]
pub struct Optional {
    is_refused: AtomicBool,
}

impl Optional {
    /// A call that was not refused yet.
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

    /// True if this error of the call requires the alternative. Remembers a refusal that holds
    /// everywhere.
    pub fn is_refused_by(&self, error: &io::Error) -> bool {
        let refusal = Refusal::of_error(error);
        if refusal == Some(Refusal::Everywhere) {
            self.refuse();
        }
        refusal.is_some()
    }

    /// The same for a call whose `EPERM` may concern its arguments, so it remembers nothing. Call
    /// [`Optional::refuse`] once the alternative has worked.
    pub fn may_be_refused_by(&self, error: &io::Error) -> bool {
        Refusal::of_error(error) == Some(Refusal::Everywhere)
    }

    /// Remembers that the call is refused.
    pub fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// `preadv2(2)`, which reads files and pipes without waiting. One value for all crates: a filter
/// that refuses the call refuses it for every kind of fd.
pub static PREADV2: Optional = Optional::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_a_sandbox_is_remembered() {
        for errno in [Errno::PERM, Errno::NOSYS] {
            let call = Optional::new();
            assert!(call.is_refused_by(&errno.into()));
            assert!(!call.is_available(), "{errno}");
        }
    }

    #[test]
    fn a_refusal_by_one_file_is_not_remembered() {
        for errno in [Errno::INVAL, Errno::OPNOTSUPP] {
            let call = Optional::new();
            assert!(call.is_refused_by(&errno.into()));
            assert!(call.is_available(), "{errno}");
        }
    }

    #[test]
    fn an_error_of_a_connection_is_no_refusal() {
        let all = (1..134).map(Errno::from_raw_os_error);
        let refusals: Vec<_> = all.filter(|errno| Refusal::of(*errno).is_some()).collect();
        let four = [Errno::PERM, Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
        assert_eq!(refusals, four);
    }
}
