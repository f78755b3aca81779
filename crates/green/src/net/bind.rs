//! Addresses as a user gives them: a name can stand for several.

use crate::wait::wait_io;
use oneloop_core::Handle;
use oneloop_net::{self as net, ToTarget};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

/// What the first address gives that does not fail, or how the last one failed. Only a name is waited
/// for.
pub(super) fn first_that_works<T>(
    target: impl ToTarget,
    at: &'static Location<'static>,
    bind: impl Fn(&Handle, SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let handle = Handle::current();
    let target = target.to_target()?;
    let bind = |addr| bind(&handle, addr);
    match target.addrs() {
        Some(addrs) => net::first_that_works(addrs, bind),
        None => net::first_that_works(&wait_io(target.resolve(&handle), at)?, bind),
    }
}
