//! Binding to an address as a user gives it: a name can stand for several.

use crate::wait::wait_io;
use oneloop_core::Handle;
use oneloop_net::{self as net, ToTarget};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

/// Binds to the first address that works, or returns the error of the last one. Waits only for the
/// look-up of a name.
#[track_caller]
pub(super) fn first_that_works<T>(
    target: impl ToTarget,
    at: &'static Location<'static>,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let _loop = Handle::current(); // panics here, as a closure cannot name its caller
    let target = target.to_target()?;
    match target.addrs() {
        // No wait for a literal address, so a server can bind before it is on a green thread.
        Some(addrs) => net::first_that_works(addrs, bind),
        None => net::first_that_works(&wait_io(target.resolve(), at)?, bind),
    }
}
