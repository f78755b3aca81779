//! From a host's name to its addresses, without blocking the loop.

use oneloop_core::{Class, Handle};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Looks up the addresses of a host, in the system's order (`getaddrinfo(3)`, on another thread). An
/// IP address needs no look-up. Cancel safe.
///
/// # Errors
/// What the resolver says: mostly that there is no such name.
pub async fn resolve(handle: &Handle, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let found = handle.offload_to(Class::Dns, move || (host.as_str(), port).to_socket_addrs());
    Ok(found.await??.collect())
}

/// Where to connect to or to listen, before any look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Addr(SocketAddr),
    /// A host's name, and a port.
    Name(String, u16),
}

impl Target {
    /// The addresses, looked up where that is needed: see [`resolve`]. Cancel safe.
    ///
    /// # Errors
    /// As [`resolve`].
    pub async fn resolve(self, handle: &Handle) -> io::Result<Vec<SocketAddr>> {
        match self {
            Target::Addr(addr) => Ok(vec![addr]),
            Target::Name(host, port) => resolve(handle, &host, port).await,
        }
    }
}

/// Whatever names a [`Target`]: `"localhost:80"`, `("localhost", 80)`, a [`SocketAddr`].
pub trait ToTarget {
    /// The target.
    ///
    /// # Errors
    /// `InvalidInput` for a text that is not `HOST:PORT`.
    fn to_target(&self) -> io::Result<Target>;
}

impl ToTarget for Target {
    fn to_target(&self) -> io::Result<Target> {
        Ok(self.clone())
    }
}

impl ToTarget for SocketAddr {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addr(*self))
    }
}

impl ToTarget for (IpAddr, u16) {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addr((*self).into()))
    }
}

impl ToTarget for (&str, u16) {
    fn to_target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        Ok(match host.parse::<IpAddr>() {
            Ok(ip) => Target::Addr(SocketAddr::new(ip, port)),
            Err(_) => Target::Name(host.to_owned(), port),
        })
    }
}

/// `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
impl ToTarget for str {
    fn to_target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse() {
            return Ok(Target::Addr(addr));
        }
        let split = || {
            let (host, port) = self.rsplit_once(':')?;
            Some((host, port.parse().ok()?))
        };
        let invalid = || {
            let problem = format!("'{self}' is not HOST:PORT");
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        };
        split().ok_or_else(invalid)?.to_target()
    }
}

impl ToTarget for String {
    fn to_target(&self) -> io::Result<Target> {
        self.as_str().to_target()
    }
}

impl<T: ToTarget + ?Sized> ToTarget for &T {
    fn to_target(&self) -> io::Result<Target> {
        (**self).to_target()
    }
}
