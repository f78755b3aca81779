//! Bugs that the loop does not have: a test plants each one, and chaos must find it.

/// A bug to plant.
#[cfg_attr(not(feature = "chaos"), expect(unreachable_pub))] // else it is `chaos::Bug`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Each read and write counts as the last one that the fd is ready for.
    DrainsTooEarly,
    /// A task that has had its share of I/O is not woken again.
    LosesShare,
    /// A timer fires up to half a millisecond early.
    FiresEarly,
    /// `EINTR` is the caller's error.
    ReturnsEintr,
    /// An event in both directions counts for reading only.
    ForgetsWriting,
}
