//! Where chaos meets the system calls of the crates above, and what it tells of itself.

#[cfg(feature = "chaos")]
use crate::mechanisms::chaos::{Digest, Step};
use crate::operations::source::Source;
use crate::state::Handle;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// For the crates that make system calls. Without the feature, each returns its argument or nothing,
/// at no cost.
impl<F: AsFd> Source<F> {
    /// The number of bytes, of `len`, that a call on a byte stream shall move at most.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_len(&self, len: usize) -> usize {
        self.handle().state.chaos.limit(len)
    }

    /// True if the connection has been reset here, by `reset`, which returns false for an fd that is
    /// no connection.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_resets(&self, reset: impl FnOnce() -> bool) -> bool {
        self.handle().state.chaos.resets(self.key(), reset)
    }
}

impl Handle {
    /// The error that a call which makes a socket shall have.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_shortage(&self) -> Result<(), Errno> {
        let errnos = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS];
        self.state.chaos.shortage(&errnos).map_or(Ok(()), Err)
    }

    /// The error that a call which makes a pipe shall have.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_pipe_shortage(&self) -> Result<(), Errno> {
        let errnos = [Errno::MFILE, Errno::NFILE];
        self.state.chaos.shortage(&errnos).map_or(Ok(()), Err)
    }

    /// The error that a call which opens any other fd shall have: a file, an inotify, a pidfd.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_file_shortage(&self) -> Result<(), Errno> {
        let errnos = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        self.state.chaos.shortage(&errnos).map_or(Ok(()), Err)
    }

    /// True if connections shall send at once. Nagle's algorithm holds the rest of a short write back
    /// for 40 ms of real time, in which an hour of virtual time may pass.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_sends_at_once(&self) -> bool {
        self.state.chaos.is_on() && self.state.clock.is_virtual()
    }

    /// True if a source may be reported as writable that is not: the kernel does not do that.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_invents_readiness(&self) -> bool {
        self.state.chaos.is_on()
    }

    /// The number of bytes, of `len`, that a read from the page cache shall move at most; `None` if
    /// it shall find nothing there.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_cached_len(&self, len: usize) -> Option<usize> {
        let chaos = &self.state.chaos;
        (!chaos.misses()).then(|| chaos.limit(len))
    }
}

#[cfg(feature = "chaos")]
impl Handle {
    /// A digest of all steps of this loop so far: two runs with the same digest took the same
    /// schedule. `None` without [`Options::chaos`](crate::Options::chaos).
    ///
    /// ```
    /// use oneloop::{EventLoop, Options};
    /// let digest = |seed| {
    ///     let mut event_loop = EventLoop::with(Options::chaos(seed)).unwrap();
    ///     event_loop.block_on(oneloop::core::yield_now());
    ///     event_loop.handle().chaos_digest()
    /// };
    /// assert_eq!(digest(7), digest(7));
    /// ```
    pub fn chaos_digest(&self) -> Option<Digest> {
        self.state.chaos.digest()
    }

    /// The last 65,536 steps of this loop, the oldest first.
    ///
    /// ```
    /// use oneloop::{EventLoop, Options};
    /// let mut event_loop = EventLoop::with(Options::chaos(7))?;
    /// event_loop.block_on(oneloop::core::yield_now());
    /// for step in event_loop.handle().chaos_steps() {
    ///     println!("{step}"); // "task main runs"
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn chaos_steps(&self) -> Vec<Step> {
        self.state.chaos.steps()
    }
}
