//! Signals as events on the loop.
//!
//! Through signal-hook rather than `signalfd(2)`: a signalfd needs the signal blocked in every
//! thread and every child process, which no library can see to; a handler that writes one byte to a
//! pipe needs nothing from the rest of the program.

use crate::handle::Handle;
use crate::ready::{Direction, Interest};
use crate::source::{Done, Ownership, Source};
use signal_hook::SigId;
use signal_hook::low_level::{pipe, unregister};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll};

pub use signal_hook::consts::signal as number;

/// Hears of signals instead of dying of them, until it is dropped.
///
/// Signals of one number that come before the last is heard count as one, as in POSIX. Listening
/// does not keep the loop alive. After the drop, the signals stay without effect: that is how
/// signal-hook leaves them.
#[derive(Debug)]
pub struct Signals {
    listening: Vec<(i32, SigId, Source)>,
}

impl Signals {
    /// Listens for these signals: see [`number`].
    ///
    /// # Errors
    /// `EINVAL` for a number that is no signal, and what making a socket pair says.
    ///
    /// # Panics
    /// For signals that cannot be handled: `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`.
    pub fn new(handle: &Handle, numbers: &[i32]) -> io::Result<Self> {
        let mut signals = Signals {
            listening: Vec::with_capacity(numbers.len()),
        };
        for number in numbers {
            let (ours, handlers) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let source = Source::new(handle, OwnedFd::from(ours), Interest::READ, Ownership::Sole)?;
            source.set_referenced(false);
            let id = pipe::register(*number, handlers)?;
            signals.listening.push((*number, id, source));
        }
        Ok(signals)
    }

    /// Waits for the next signal and gives its number.
    ///
    /// # Errors
    /// None that a correct program sees.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<i32>> {
        for (number, _, source) in &self.listening {
            let mut buf = [0; 64];
            let heard = source.poll_io(cx, Direction::Read, |fd| {
                let count = rustix::io::read(fd, &mut buf)?;
                Ok(Done::stream(count, buf.len()))
            });
            if let Poll::Ready(heard) = heard {
                return Poll::Ready(heard.map(|_| *number));
            }
        }
        Poll::Pending
    }

    /// Waits for the next signal and gives its number. Cancel safe: a signal that came stays to be
    /// heard.
    ///
    /// # Errors
    /// None that a correct program sees.
    pub async fn recv(&self) -> io::Result<i32> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, id, _) in &self.listening {
            unregister(*id);
        }
    }
}
