//! The names of Unix sockets.

use crate::addr::Addr;
use rustix::net::SocketAddrAny;
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// A value that names a Unix socket: a path, or an [`Addr`], which may be an abstract name.
///
/// ```
/// use oneloop::net::{Addr, ToUnixAddr};
/// let path = "/run/echo.sock".to_unix_addr();
/// assert_eq!(*path, Addr::UnixPath("/run/echo.sock".into()));
/// let name = Addr::UnixAbstract("echo".into());
/// assert_eq!(*(&name).to_unix_addr(), name);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a Unix socket",
    label = "write a path, such as `\"/run/echo.sock\"`, or a `oneloop::net::Addr`"
)]
pub trait ToUnixAddr {
    /// The address. An [`Addr`] is borrowed, so a datagram to one allocates nothing.
    fn to_unix_addr(&self) -> Cow<'_, Addr>;
}

#[diagnostic::do_not_recommend] // the message of `ToUnixAddr` says more than that of `AsRef`
impl<P: AsRef<Path> + ?Sized> ToUnixAddr for P {
    fn to_unix_addr(&self) -> Cow<'_, Addr> {
        Cow::Owned(Addr::UnixPath(self.as_ref().into()))
    }
}

impl ToUnixAddr for Addr {
    fn to_unix_addr(&self) -> Cow<'_, Addr> {
        Cow::Borrowed(self)
    }
}

impl ToUnixAddr for &Addr {
    fn to_unix_addr(&self) -> Cow<'_, Addr> {
        Cow::Borrowed(self)
    }
}

/// The address for a system call on a Unix socket, which takes no other family.
///
/// # Errors
/// `InvalidInput` for an IP address, and for a path that is longer than `sun_path` (unix(7): 108
/// bytes).
pub(super) fn to_kernel(name: &impl ToUnixAddr) -> io::Result<SocketAddrAny> {
    match &*name.to_unix_addr() {
        Addr::Inet(addr) => {
            let problem = format!("{addr} is not the name of a Unix socket");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
        addr => addr.to_kernel(),
    }
}
