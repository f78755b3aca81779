//! Signals as events on the loop.
//!
//! A handler that adds to an eventfd of the listener's own, rather than `signalfd(2)`: a signalfd needs
//! the signal blocked in every thread and every child process, which no library can see to. Handlers
//! that other libraries have are called as well.

use crate::handle::Handle;
use crate::ready::{Direction, Interest};
use crate::source::{Done, Ownership, Source};
use futures_core::Stream;
use oneloop_posix::Listener;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use oneloop_posix::{Disposition, disposition, number, restore_default};

/// Hears of signals instead of dying of them, until it is dropped.
///
/// Each listener hears each signal, on its own loop and whichever thread the kernel had it delivered to.
/// Signals of one number that come before the last is heard count as one, as in POSIX: a storm of them
/// is one event. Listening does not keep the loop alive. When the last listener of a signal is dropped, the
/// signal does again what it did before the first one came.
///
/// ```
/// use oneloop_core::{EventLoop, Signals, signal::number::SIGUSR1};
/// let mut event_loop = EventLoop::new()?;
/// let signals = Signals::new(&event_loop.handle(), &[SIGUSR1])?;
/// let pid = std::process::id().to_string();
/// std::process::Command::new("kill").args(["-USR1", &pid]).status()?;
/// assert_eq!(event_loop.block_on(signals.recv())?, SIGUSR1);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It is a [`Stream`] as well.
#[derive(Debug)]
pub struct Signals {
    listening: Vec<(i32, Listener, Source)>,
}

impl Signals {
    /// Listens for these signals: see [`number`].
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal, and for those that cannot be listened to:
    /// `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS`; `EMFILE`.
    pub fn new(handle: &Handle, numbers: &[i32]) -> io::Result<Self> {
        let listen = |&number: &i32| {
            let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let listener = Listener::new(number, eventfd.try_clone()?)?;
            // The listener's duplicate is not registered, and is never read.
            let source = Source::new(handle, eventfd, Interest::READ, Ownership::Sole)?;
            source.set_referenced(false);
            Ok((number, listener, source))
        };
        let listening = numbers.iter().map(listen).collect::<io::Result<_>>()?;
        Ok(Signals { listening })
    }

    /// Waits for the next signal and gives its number.
    ///
    /// # Errors
    /// None that a correct program sees.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<i32>> {
        for (number, _, source) in &self.listening {
            let heard = source.poll_io(cx, Direction::Read, |fd| {
                rustix::io::read(fd, &mut [0; 8])?; // takes all that came: eventfd(2)
                Ok(Done::last(*number))
            });
            if heard.is_ready() {
                return heard;
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

/// It has no end.
impl Stream for Signals {
    type Item = io::Result<i32>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Some)
    }
}
