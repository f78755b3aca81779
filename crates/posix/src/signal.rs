//! Signals: what one does now, and listening to it.

use crate::action::{action, set_default};
use crate::handler::Taken;
use libc::{SIG_DFL, SIG_IGN, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP};
use std::io;
use std::os::fd::OwnedFd;

/// The numbers of the signals by their names in `signal(7)`.
pub mod number {
    pub use libc::{
        SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGIO, SIGKILL,
        SIGPIPE, SIGPOLL, SIGPROF, SIGPWR, SIGQUIT, SIGSEGV, SIGSTKFLT, SIGSTOP, SIGSYS, SIGTERM,
        SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU,
        SIGXFSZ,
    };
}

/// What happens when a signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The default action of `signal(7)`.
    Default,
    /// Nothing: whoever started the program had it ignored, as `nohup` does.
    Ignored,
    /// A handler is called.
    Caught,
}

/// What this signal does now (`sigaction(2)`).
///
/// # Errors
/// `EINVAL` for what is no signal.
pub fn disposition(number: i32) -> io::Result<Disposition> {
    Ok(match action(number)?.sa_sigaction {
        SIG_DFL => Disposition::Default,
        SIG_IGN => Disposition::Ignored,
        _ => Disposition::Caught,
    })
}

/// Gives a signal the default action of `signal(7)` back, which whoever started the program may have had it
/// ignore: a program that starts others passes that on to them. Listeners do not hear it any more, so
/// this is for the start of a program.
///
/// # Errors
/// `EINVAL` for what is no signal, and for `SIGKILL` and `SIGSTOP`.
pub fn restore_default(number: i32) -> io::Result<()> {
    set_default(number).map(drop)
}

/// Somebody who listens to a signal, until it is dropped. When the last one of a signal is gone, what
/// it did before the first one came is what it does: its default action, nothing, or another library's
/// handler, which was called all the while.
///
/// That is what the process itself does. To the kernel the signal stays [`Disposition::Caught`], which is
/// the default action for the programs that it executes, also if it was ignored.
///
/// A process that is forked has no listeners but those it makes itself, which it can if no other
/// thread of its parent was at it.
#[derive(Debug)]
pub struct Listener {
    _taken: Taken,
}

impl Listener {
    /// Has each such signal add 1 to an eventfd, which should be non-blocking. Signals of one number
    /// that come at once may count as one, as in POSIX.
    ///
    /// # Errors
    /// `InvalidInput` for what is no signal, and for those that cannot be listened to: `SIGKILL`,
    /// `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS`.
    pub fn new(number: i32, eventfd: OwnedFd) -> io::Result<Self> {
        let is_forbidden = matches!(
            number,
            SIGKILL | SIGSTOP | SIGILL | SIGFPE | SIGSEGV | SIGBUS
        );
        if action(number).is_err() || is_forbidden {
            let problem = format!("nothing can listen to signal {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let _taken = Taken::new(number, eventfd)?;
        Ok(Listener { _taken })
    }
}
