//! Addresses as a user gives them: a name can stand for several.

use crate::wait::wait_io;
use oneloop_net::{self as net, ToTarget};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

/// What the first address gives that does not fail, or how the last one failed. Only a name is waited
/// for.
pub(super) fn first_that_works<T>(
    target: impl ToTarget,
    at: &'static Location<'static>,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let target = target.to_target()?;
    match target.addrs() {
        Some(addrs) => net::first_that_works(addrs, bind),
        None => net::first_that_works(&wait_io(target.resolve(), at)?, bind),
    }
}
