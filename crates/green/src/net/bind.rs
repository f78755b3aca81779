//! Addresses as a user gives them: a name can stand for several.

use crate::wait::wait_io;
use oneloop_core::Handle;
use oneloop_net::{Target, ToTarget};
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
    let addrs = match target.to_target()? {
        Target::Addr(addr) => return bind(&handle, addr),
        name => wait_io(name.resolve(&handle), at)?,
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for addr in addrs {
        match bind(&handle, addr) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
