//! What is asked of all loops of the server.

use super::roll_call::RollCall;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A socket or a lock for another process, with the name under which it is passed.
pub(crate) type Named = (String, OwnedFd);

/// What is asked of all loops of the server.
#[derive(Debug, Default)]
pub(crate) struct AllLoops {
    /// Whether they turn.
    pub(super) turns: Arc<RollCall<()>>,
    /// On which sockets they listen.
    pub(super) sockets: Arc<RollCall<io::Result<Vec<Named>>>>,
}
