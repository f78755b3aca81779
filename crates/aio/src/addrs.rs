//! Addresses as a user gives them: a name can stand for several.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// What the first address gives that does not fail, or how the last one failed.
pub(crate) fn first_that_works<T>(
    addrs: impl ToSocketAddrs,
    mut bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
    for addr in addrs.to_socket_addrs()? {
        match bind(addr) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
