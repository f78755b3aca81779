//! Waiting for any fd.

use oneloop_core::{Direction, Handle};
use std::io;
use std::os::fd::AsFd;

/// Waits until an fd can be read without blocking: see [`Handle::wait_ready`]. Cancel safe.
///
/// # Errors
/// As [`Handle::wait_ready`].
///
/// # Panics
/// Outside a loop.
#[doc(alias("AsyncFd", "add_reader", "uv_poll_t", "poll"))]
pub async fn wait_readable(fd: impl AsFd) -> io::Result<()> {
    Handle::current().wait_ready(fd, Direction::Read).await
}

/// Waits until an fd can be written without blocking: see [`Handle::wait_ready`]. Cancel safe.
///
/// # Errors
/// As [`Handle::wait_ready`].
///
/// # Panics
/// Outside a loop.
#[doc(alias("AsyncFd", "add_writer", "uv_poll_t"))]
pub async fn wait_writable(fd: impl AsFd) -> io::Result<()> {
    Handle::current().wait_ready(fd, Direction::Write).await
}
