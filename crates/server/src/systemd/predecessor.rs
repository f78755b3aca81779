//! The new process's side of a hot restart: it accepts once its predecessor says so.

use super::passed::Passed;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What the new process sends when it could accept.
pub(crate) const READY: &[u8] = b"ready\n";
/// What the old process sends when it accepts no more.
pub(crate) const GO: &[u8] = b"go\n";

/// The process that has started this one with its listeners.
#[derive(Debug)]
pub(crate) struct Predecessor {
    connection: UnixStream,
}

impl Predecessor {
    pub(crate) fn of(passed: &mut Passed) -> Option<Self> {
        let connection = passed.take_predecessor()?;
        Some(Predecessor { connection })
    }

    /// Says that this process is ready, and waits until the predecessor has stopped to accept, or has
    /// ended. Blocks the thread, on which no loop runs yet.
    ///
    /// One of the two processes accepts at any time, and clients that come meanwhile wait in the
    /// backlog, which both have.
    pub(crate) fn take_over(mut self) {
        // If the predecessor has ended, both calls say so, and nothing is left to wait for.
        if self.connection.write_all(READY).is_ok() {
            let _ = self.connection.read_exact(&mut [0; GO.len()]);
        }
    }
}
