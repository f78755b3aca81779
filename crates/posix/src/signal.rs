//! Signals: the current action of one, and listening to it.

use crate::action::{action, set_default};
use crate::handler::{Listening, Mode};
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

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The default action of `signal(7)`.
    Default,
    /// None: the program was started with the signal ignored, as `nohup` does.
    Ignored,
    /// A call of a handler.
    Caught,
}

/// The current effect of a signal (`sigaction(2)`).
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn disposition(number: i32) -> io::Result<Disposition> {
    Ok(match action(number)?.sa_sigaction {
        SIG_DFL => Disposition::Default,
        SIG_IGN => Disposition::Ignored,
        _ => Disposition::Caught,
    })
}

/// Restores the default action of `signal(7)`, in case the program was started with the signal
/// ignored: an ignored signal stays ignored in the programs that it starts. Listeners are not
/// notified any more, so this is for the start of a program.
///
/// # Errors
/// `EINVAL` for a number that is no signal, and for `SIGKILL` and `SIGSTOP`.
pub fn restore_default(number: i32) -> io::Result<()> {
    set_default(number).map(drop)
}

/// A listener to a signal, until it is dropped.
///
/// When the last listener of a signal is dropped, the signal has the effect again that it had
/// before the first one: its default action, none, or a call of another library's handler, which
/// was called all the while. That is what the process itself does. For the kernel the signal stays
/// [`Disposition::Caught`], which is the default action in the programs that the process executes,
/// also if the signal was ignored before.
///
/// A forked process has no listeners at first. It can make its own, unless another thread of its
/// parent was making one during the fork.
#[derive(Debug)]
pub struct Listener {
    _listening: Listening,
}

impl Listener {
    /// Adds 1 to an eventfd, which should be non-blocking, for each signal of this number. Signals
    /// that come at the same time may count as one, as in POSIX.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal, and for signals that have no listeners:
    /// `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS`.
    pub fn new(number: i32, eventfd: OwnedFd) -> io::Result<Self> {
        // SIGKILL and SIGSTOP have no handlers. The others are faults of the program's own
        // instructions, which would be executed again after a handler that only counts.
        let is_forbidden = matches!(
            number,
            SIGKILL | SIGSTOP | SIGILL | SIGFPE | SIGSEGV | SIGBUS
        );
        if action(number).is_err() || is_forbidden {
            let problem = format!("nothing can listen to signal {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let _listening = Listening::new(number, eventfd, Mode::Beside)?;
        Ok(Listener { _listening })
    }

    /// A listener as libuv's: it replaces the handler that was there before. That handler is not
    /// called any more, not even by later listeners, and once the last listener is dropped the
    /// signal has its default action.
    ///
    /// Also for faults, as libuv: such a signal may come from `kill(2)`. A real fault happens again
    /// when the handler returns.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal, and for `SIGKILL` and `SIGSTOP`.
    pub fn replacing(number: i32, eventfd: OwnedFd) -> io::Result<Self> {
        if action(number).is_err() || matches!(number, SIGKILL | SIGSTOP) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let _listening = Listening::new(number, eventfd, Mode::Instead)?;
        Ok(Listener { _listening })
    }
}
