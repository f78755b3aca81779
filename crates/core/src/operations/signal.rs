//! Signals as events on the loop.
//!
//! A handler adds to the listener's own eventfd. `signalfd(2)` would not do: it needs the signal
//! blocked in every thread and every child process, which no library can ensure. Handlers of other
//! libraries are called as well.

use crate::mechanisms::ready::{Direction, Interest};
use crate::operations::source::{Done, Source};
use crate::state::Handle;
use crate::tasks::registration::Ownership;
use futures_core::Stream;
use oneloop_posix::Listener;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

// Where users of `libc` and `nix` look first: beside what they are for.
#[doc(no_inline)]
pub use oneloop_posix::number::*;
pub use oneloop_posix::{Disposition, disposition, number, restore_default};

/// Receives signals, in place of their default action, until it is dropped.
///
/// Each listener receives each signal, on its own loop, whichever thread the kernel delivers it to.
/// Signals of one number that come before the last one is received count as one, as in POSIX: a
/// storm of them is one event. Listening does not keep the loop alive. When the last listener of a
/// signal is dropped, the signal has again the action that it had before the first one.
///
/// ```
/// use oneloop::core::Signals;
/// use oneloop::{EventLoop, signal::SIGUSR1};
/// let mut event_loop = EventLoop::new()?;
/// let signals = Signals::new(&event_loop.handle(), &[SIGUSR1])?;
/// let pid = std::process::id().to_string();
/// std::process::Command::new("kill").args(["-USR1", &pid]).status()?;
/// assert_eq!(event_loop.block_on(signals.recv())?, SIGUSR1);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It is a stream of the crate [futures-core](https://docs.rs/futures-core) as well.
#[derive(Debug)]
// No alias that is the name of a constant: the compiler would suggest this type for it.
#[doc(alias("uv_signal_t", "ctrl_c"))]
pub struct Signals {
    listening: Vec<(i32, Listener, Source)>,
}

impl Signals {
    /// Listens for these signals: see [`number`].
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal, and for signals that have no listeners:
    /// `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS`; `EMFILE`.
    pub fn new(handle: &Handle, numbers: &[i32]) -> io::Result<Self> {
        let listen = |&number: &i32| {
            let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let listener = Listener::new(number, eventfd.try_clone()?)?;
            // The handler writes to the duplicate, which is neither registered nor read.
            let source = Source::new(handle, eventfd, Interest::READ, Ownership::Sole)?;
            source.set_referenced(false);
            Ok((number, listener, source))
        };
        let listening = numbers.iter().map(listen).collect::<io::Result<_>>()?;
        Ok(Signals { listening })
    }

    /// Waits for the next signal and returns its number.
    ///
    /// # Errors
    /// A correct program sees none.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<i32>> {
        for (number, _, source) in &self.listening {
            let received = source.poll_io(cx, Direction::Read, |fd| {
                // eventfd(2): one read takes all that came and resets the counter, so there is no
                // second read to `EAGAIN`.
                rustix::io::read(fd, &mut [0; 8])?;
                Ok(Done::last(*number))
            });
            if received.is_ready() {
                return received;
            }
        }
        Poll::Pending
    }

    /// Waits for the next signal and returns its number. Cancel safe: a signal that came is
    /// received by the next call.
    ///
    /// # Errors
    /// A correct program sees none.
    pub async fn recv(&self) -> io::Result<i32> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }
}

/// The stream never ends.
impl Stream for Signals {
    type Item = io::Result<i32>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Some)
    }
}
