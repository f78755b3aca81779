//! The address of a socket: an IP address and port, or a Unix name.

use crate::malformed::problem_of;
use crate::resolve::literal_addr;
use crate::target::{Target, ToTarget};
use oneloop_posix::address_bytes;
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketAddrUnix};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a socket of any family.
///
/// ```
/// use oneloop::net::Addr;
/// for text in ["127.0.0.1:8080", "[::1]:8080", "unix:/run/echo.sock", "unix:@abstract"] {
///     assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addr {
    /// IPv4 or IPv6, with its port.
    Inet(SocketAddr),
    /// A Unix socket in the file system.
    UnixPath(PathBuf),
    /// A Unix socket in Linux's abstract namespace, by its name without the leading NUL.
    UnixAbstract(Vec<u8>),
    /// A Unix socket without a name, as most clients have.
    UnixUnnamed,
}

impl Addr {
    /// The IP address and port; `None` for a Unix socket.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Addr::Inet(addr) => Some(*addr),
            _ => None,
        }
    }

    /// The IP address and port, for the address of an IP socket.
    pub(crate) fn into_inet(self) -> io::Result<SocketAddr> {
        self.inet()
            .ok_or_else(|| io::Error::other("an IP socket has an address that is not IP"))
    }

    /// The port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.inet().map(|addr| addr.port())
    }

    pub(crate) fn family(&self) -> AddressFamily {
        match self {
            Addr::Inet(SocketAddr::V4(_)) => AddressFamily::INET,
            Addr::Inet(SocketAddr::V6(_)) => AddressFamily::INET6,
            _ => AddressFamily::UNIX,
        }
    }

    pub(crate) fn to_kernel(&self) -> io::Result<SocketAddrAny> {
        Ok(match self {
            Addr::Inet(addr) => (*addr).into(),
            Addr::UnixPath(path) => SocketAddrUnix::new(path.as_path())?.into(),
            Addr::UnixAbstract(name) => SocketAddrUnix::new_abstract_name(name)?.into(),
            Addr::UnixUnnamed => SocketAddrUnix::new_unnamed().into(),
        })
    }

    /// The local address of a socket (`getsockname(2)`).
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Self> {
        Ok(Addr::from_kernel(net::getsockname(socket)?))
    }

    /// The peer's address of a socket (`getpeername(2)`).
    pub(crate) fn of_peer(socket: impl AsFd) -> io::Result<Self> {
        Ok(net::getpeername(socket)?.map_or(Addr::UnixUnnamed, Addr::from_kernel))
    }

    pub(crate) fn from_kernel(addr: SocketAddrAny) -> Self {
        // rustix panics when it converts a path of 108 bytes, so the bytes are read here.
        if addr.address_family() == AddressFamily::UNIX {
            Addr::from_unix_name(&address_bytes(&addr)[size_of::<u16>()..])
        } else {
            // The kernel returns no other family for the sockets of this crate.
            SocketAddr::try_from(addr).map_or(Addr::UnixUnnamed, Addr::Inet)
        }
    }

    /// Parses `sun_path`, which has the length that the kernel returned.
    fn from_unix_name(name: &[u8]) -> Self {
        match name {
            [] | [0] => Addr::UnixUnnamed,
            [0, name @ ..] => Addr::UnixAbstract(name.to_owned()),
            path => {
                // unix(7): the length may or may not include the final NUL, depending on the
                // bind(2).
                let path = path.strip_suffix(&[0]).unwrap_or(path);
                Addr::UnixPath(OsStr::from_bytes(path).into())
            }
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Addr::Inet(addr)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::Inet(addr) => addr.fmt(f),
            Addr::UnixPath(path) => write!(f, "unix:{}", path.display()),
            Addr::UnixAbstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            Addr::UnixUnnamed => f.write_str("unix:"),
        }
    }
}

/// The error for a text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseAddrError {
    text: String,
    /// What is wrong with it, in words that follow the text: "has no port: …".
    problem: String,
    /// The interface in an IPv6 address, if this machine has no interface of that name.
    missing_interface: Option<String>,
}

impl ParseAddrError {
    fn new(text: &str) -> Self {
        let problem = match name_of(text) {
            Some(host) => format!(
                "has a name, and needs an IP address: look '{host}' up with oneloop::net::resolve"
            ),
            None => problem_of(text),
        };
        ParseAddrError {
            text: text.to_owned(),
            problem,
            missing_interface: None,
        }
    }

    /// What is wrong with the text, in words that follow it: `has no port: write …`.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The name behind the `%` of an IPv6 address, if this machine has no interface of that name.
    pub fn missing_interface(&self) -> Option<&str> {
        self.missing_interface.as_deref()
    }
}

impl fmt::Display for ParseAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.text, self.problem)
    }
}
impl std::error::Error for ParseAddrError {}

impl FromStr for Addr {
    type Err = ParseAddrError;

    /// `127.0.0.1:8080`, `[::1]:8080`, `[fe80::1%eth0]:8080`, `unix:/a/path` or, for an abstract
    /// name, `unix:@name`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ParseAddrError::new(text)),
            Some(path) => Ok(match path.strip_prefix('@') {
                Some(name) => Addr::UnixAbstract(name.into()),
                None => Addr::UnixPath(path.into()),
            }),
            // The standard library's parser first: it is exact, and only a scope by name is left to
            // `parse_scoped`.
            None => match text.parse() {
                Ok(addr) => Ok(Addr::Inet(addr)),
                Err(_) => parse_scoped(text).map(Addr::Inet),
            },
        }
    }
}

/// The host of `HOST:PORT`, if that is a name.
fn name_of(text: &str) -> Option<String> {
    match text.to_target().ok()? {
        Target::Name(host, _) => Some(host),
        _ => None,
    }
}

/// Parses `[IPV6%INTERFACE]:PORT`. The standard library takes only the number of an interface.
fn parse_scoped(text: &str) -> Result<SocketAddr, ParseAddrError> {
    let wrong = || ParseAddrError::new(text);
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let (host, port) = host.zip(port.parse().ok()).ok_or_else(wrong)?;
    let (_, interface) = host.split_once('%').ok_or_else(wrong)?;
    match literal_addr(host, port) {
        Ok(addr) => addr.ok_or_else(wrong),
        Err(_) => Err(ParseAddrError {
            text: text.to_owned(),
            problem: format!("has an interface that does not exist: {interface}"),
            missing_interface: Some(interface.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_form_is_the_same_address() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "unix:/run/echo.sock",
            "unix:@abstract",
        ] {
            let addr: Addr = text.parse().unwrap();
            assert_eq!(Addr::from_kernel(addr.to_kernel().unwrap()), addr);
        }
        let unnamed = Addr::UnixUnnamed;
        assert_eq!(Addr::from_kernel(unnamed.to_kernel().unwrap()), unnamed);
    }

    #[test]
    fn an_interface_can_be_given_by_name_or_by_number() {
        let by_number: Addr = "[fe80::1%1]:80".parse().unwrap();
        assert_eq!("[fe80::1%lo]:80".parse(), Ok(by_number.clone()));
        assert_eq!(by_number.to_string(), "[fe80::1%1]:80");
        assert_eq!(Addr::from_kernel(by_number.to_kernel().unwrap()), by_number);
        let error = "[fe80::1%nowhere]:80".parse::<Addr>().unwrap_err();
        assert_eq!(error.missing_interface(), Some("nowhere"));
        for wrong in [
            "[fe80::1%lo]",
            "[fe80::1%]:80",
            "fe80::1%lo:80",
            "[a%lo]:80",
            "[::1%lo]:x",
        ] {
            assert!(wrong.parse::<Addr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_error_for_a_wrong_address_says_what_is_expected() {
        for (text, problem) in [
            ("", "is empty: write HOST:PORT, such as 127.0.0.1:8080"),
            ("::1", "has no port: write [::1]:8080"),
            ("unix:", "has no path: write unix:/a/path, or unix:@name"),
            (
                "localhost:80",
                "has a name, and needs an IP address: look 'localhost' up with oneloop::net::resolve",
            ),
        ] {
            let error = text.parse::<Addr>().unwrap_err();
            assert_eq!(error.to_string(), format!("'{text}' {problem}"));
        }
    }
}
