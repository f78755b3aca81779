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

    /// True if the connection shall break here.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_resets(&self) -> bool {
        self.handle().state.chaos.resets()
    }
}

impl Handle {
    /// The error that a call which needs a new fd shall have.
    #[doc(hidden)]
    #[inline]
    pub fn chaos_shortage(&self) -> Result<(), Errno> {
        self.state.chaos.shortage().map_or(Ok(()), Err)
    }
}

#[cfg(feature = "chaos")]
impl Handle {
    /// A digest of all steps of this loop so far: two runs with the same digest took the same
    /// schedule. `None` without [`Options::chaos`](crate::Options::chaos).
    pub fn chaos_digest(&self) -> Option<Digest> {
        self.state.chaos.digest()
    }

    /// The last 65,536 steps of this loop, the oldest first.
    pub fn chaos_steps(&self) -> Vec<Step> {
        self.state.chaos.steps()
    }
}
