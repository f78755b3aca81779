//! What the tests of several subjects share.

use oneloop::{EventLoop, Options};
use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Runs a future on a new loop in virtual time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    EventLoop::with(Options::virtual_time())
        .unwrap()
        .block_on(future)
}

pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}
