//! The target of a connect or a bind, as a user writes it: an address, several addresses, or a name
//! and a port.

use crate::malformed::{port_of, problem_of};
use crate::resolve::{ResolveOptions, literal_addr, resolve_with};
use oneloop_core::Handle;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The target of a connect or a bind, before any look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Addr(SocketAddr),
    /// Several addresses, the preferred one first.
    Addrs(Vec<SocketAddr>),
    /// A host's name, and a port.
    Name(String, u16),
}

impl Target {
    /// The addresses; `None` for a name, which needs a look-up.
    pub fn addrs(&self) -> Option<&[SocketAddr]> {
        match self {
            Target::Addr(addr) => Some(std::slice::from_ref(addr)),
            Target::Addrs(addrs) => Some(addrs),
            Target::Name(..) => None,
        }
    }

    /// The addresses, looked up where needed: see [`resolve`](crate::resolve). Cancel safe.
    ///
    /// # Errors
    /// As [`resolve`](crate::resolve).
    pub async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        self.resolve_with(ResolveOptions::default()).await
    }

    /// The addresses, looked up with options where needed. Cancel safe.
    ///
    /// # Errors
    /// As [`resolve_with`].
    pub async fn resolve_with(self, options: ResolveOptions) -> io::Result<Vec<SocketAddr>> {
        match self {
            Target::Addr(addr) => Ok(vec![addr]),
            Target::Addrs(addrs) => Ok(addrs),
            Target::Name(host, port) => resolve_with(&host, port, options).await,
        }
    }
}

/// Tries the addresses in their order. Returns the first success, or the error of the last address.
/// A name, which may stand for several addresses, is bound this way.
///
/// # Errors
/// Those of the last address; `InvalidInput` if there is none.
pub fn first_that_works<T>(
    addrs: &[SocketAddr],
    mut bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failed = no_address();
    for addr in addrs {
        match bind(*addr) {
            Ok(bound) => return Ok(bound),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Binds the first address that works, without waiting.
///
/// # Errors
/// Those of the last address; `InvalidInput` for a name, as `getaddrinfo(3)` would block the loop.
#[track_caller]
pub(crate) fn bind_now<T>(
    target: impl ToTarget,
    bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let _loop = Handle::current(); // panics here, as a closure cannot name its caller
    let target = target.to_target()?;
    match &target {
        Target::Name(host, _) => Err(invalid(format!(
            "'{host}' is a name, and its look-up takes time: use bind_name(..).await, or an \
             address such as 127.0.0.1"
        ))),
        Target::Addr(addr) => first_that_works(&[*addr], bind),
        Target::Addrs(addrs) => first_that_works(addrs, bind),
    }
}

/// Binds the first address that works, after a look-up where that is needed.
///
/// # Errors
/// Those of the last address, and those of a failed look-up.
pub(crate) async fn bind_name<T>(
    target: impl ToTarget,
    bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let addrs = target.to_target()?.resolve().await?;
    first_that_works(&addrs, bind)
}

pub(crate) fn no_address() -> io::Error {
    invalid("there is no address to try".to_owned())
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// A value that names a [`Target`]: `"localhost:80"`, `("localhost", 80)`, a [`SocketAddr`],
/// several.
#[doc(alias = "ToSocketAddrs")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an address",
    note = "name a host and a port: `\"127.0.0.1:8080\"`, `(\"localhost\", 8080)`, or a `SocketAddr`; \
            `\"0.0.0.0:8080\"` listens on all addresses, and port 0 is any free port"
)]
pub trait ToTarget {
    /// The target.
    ///
    /// # Errors
    /// `InvalidInput` for a text that is not `HOST:PORT`, with what is wrong with it; `NotFound` or `ENODEV` for an address
    /// whose scope is not the name of an interface.
    fn to_target(&self) -> io::Result<Target>;
}

impl ToTarget for Target {
    fn to_target(&self) -> io::Result<Target> {
        Ok(self.clone())
    }
}

/// The addresses in their order.
impl ToTarget for [SocketAddr] {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

/// The addresses in their order.
impl ToTarget for Vec<SocketAddr> {
    fn to_target(&self) -> io::Result<Target> {
        self.as_slice().to_target()
    }
}

/// The addresses in their order.
impl<const N: usize> ToTarget for [SocketAddr; N] {
    fn to_target(&self) -> io::Result<Target> {
        self.as_slice().to_target()
    }
}

/// Types that the standard library accepts as one address.
macro_rules! to_one_addr {
    ($($addr:ty),*) => {
        $(
            impl ToTarget for $addr {
                fn to_target(&self) -> io::Result<Target> {
                    Ok(Target::Addr((*self).into()))
                }
            }
        )*
    };
}

to_one_addr!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl ToTarget for (&str, u16) {
    fn to_target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        if matches!(host, "" | "*") {
            let problem = problem_of(&format!("{host}:{port}"));
            return Err(invalid(format!("'{host}' {problem}")));
        }
        Ok(match literal_addr(host, port)? {
            Some(addr) => Target::Addr(addr),
            None => Target::Name(host.to_owned(), port),
        })
    }
}

impl ToTarget for (String, u16) {
    fn to_target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).to_target()
    }
}

/// `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets,
/// optionally with its scope: `[fe80::1%eth0]:80`. Without brackets, the port follows the last
/// colon, as in the standard library: `::1:80` is `[::1]:80`.
impl ToTarget for str {
    fn to_target(&self) -> io::Result<Target> {
        // Most texts are plain addresses.
        if let Ok(addr) = self.parse() {
            return Ok(Target::Addr(addr));
        }
        let split = || {
            // The last colon: an IPv6 address contains colons, too.
            let (host, port) = self.rsplit_once(':')?;
            let bracketed = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            Some((bracketed.unwrap_or(host), port_of(port)?))
        };
        let wrong = || invalid(format!("'{self}' {}", problem_of(self)));
        // `unix:80` is a path, as for `Addr`, and no host of that name.
        if self.starts_with("unix:") {
            return Err(wrong());
        }
        let (host, port) = split().ok_or_else(wrong)?;
        match literal_addr(host, port)? {
            Some(addr) => Ok(Target::Addr(addr)),
            None if is_never_a_host(host) => Err(wrong()),
            None => Ok(Target::Name(host.to_owned(), port)),
        }
    }
}

/// True for what is neither a name nor an address. Its look-up would only fail later, with less to
/// say.
fn is_never_a_host(host: &str) -> bool {
    host.is_empty()
        || host.contains(['*', '[', ']', '/', ':'])
        || host.contains(char::is_whitespace)
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
