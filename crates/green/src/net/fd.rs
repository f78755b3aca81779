//! Waiting for any fd: eventlet's `trampoline`, gevent's `socket.wait_read`.

use super::green_io::wait_io_within;
use oneloop_core::{Direction, Handle};
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::time::Duration;

/// Waits until an fd can be read without blocking, or is at its end. Any kind of fd works; a
/// regular file is always ready. The fd stays the caller's, to be read in any way, and need not be
/// non-blocking.
///
/// # Errors
/// [`TimedOut`](io::ErrorKind::TimedOut); those of `epoll_ctl(2)`, and `EMFILE` for an fd that has
/// another waiter.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
#[doc(alias("wait_read", "trampoline", "select", "poll"))]
pub fn wait_readable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<()> {
    wait_ready(fd, Direction::Read, timeout, Location::caller())
}

/// Waits until an fd can be written without blocking: see [`wait_readable`].
///
/// # Errors
/// As [`wait_readable`].
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
#[doc(alias("wait_write", "trampoline", "select"))]
pub fn wait_writable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<()> {
    wait_ready(fd, Direction::Write, timeout, Location::caller())
}

#[track_caller]
fn wait_ready(
    fd: impl AsFd,
    direction: Direction,
    timeout: Option<Duration>,
    at: &'static Location<'static>,
) -> io::Result<()> {
    // Registered for this wait only, so that the fd can be closed or moved to another loop after
    // it.
    let handle = Handle::current();
    wait_io_within(&handle, timeout, handle.wait_ready(fd, direction), at)
}
