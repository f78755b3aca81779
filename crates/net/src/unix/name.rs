//! What may name a Unix socket.

use crate::addr::Addr;
use rustix::net::SocketAddrAny;
use std::io;
use std::path::Path;

/// Whatever names a Unix socket: a path, or an [`Addr`], which may be an abstract name.
///
/// ```
/// use oneloop_net::{Addr, ToUnixAddr};
/// let path = "/run/echo.sock".to_unix_addr();
/// assert_eq!(path, Addr::UnixPath("/run/echo.sock".into()));
/// let name = Addr::UnixAbstract("echo".into());
/// assert_eq!((&name).to_unix_addr(), name);
/// ```
pub trait ToUnixAddr {
    /// The address.
    fn to_unix_addr(&self) -> Addr;
}

impl<P: AsRef<Path> + ?Sized> ToUnixAddr for P {
    fn to_unix_addr(&self) -> Addr {
        Addr::UnixPath(self.as_ref().into())
    }
}

impl ToUnixAddr for Addr {
    fn to_unix_addr(&self) -> Addr {
        self.clone()
    }
}

impl ToUnixAddr for &Addr {
    fn to_unix_addr(&self) -> Addr {
        (*self).clone()
    }
}

/// An address for a system call on a Unix socket, which takes no other.
///
/// # Errors
/// `InvalidInput` for an IP address, and for a path that is too long.
pub(super) fn to_kernel(addr: &Addr) -> io::Result<SocketAddrAny> {
    match addr {
        Addr::Inet(addr) => {
            let problem = format!("{addr} is no name of a Unix socket");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
        addr => addr.to_kernel(),
    }
}
