//! The address of a socket: an IP address and port, or a Unix name.

use crate::malformed::{port_of, problem_of};
use crate::resolve::literal_addr;
use crate::target::{Target, ToTarget};
use oneloop_posix::address_bytes;
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketAddrUnix};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a socket of any family.
///
/// Every address but that of a socket without a name is printed as a text that parses to the same
/// address. (IPv6 flow information is not part of the text.)
///
/// ```
/// use oneloop::net::Addr;
/// for text in ["127.0.0.1:8080", "[::1]:8080", "unix:/run/echo.sock", "unix:@abstract"] {
///     assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
/// }
/// let with_a_byte_0 = Addr::UnixAbstract(b"echo\0".into());
/// assert_eq!(with_a_byte_0.to_string(), r"unix:@echo\x00");
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
            Addr::UnixPath(path) => match path.as_os_str().as_bytes() {
                // An `@` would begin an abstract name.
                [b'@', rest @ ..] => write!(f, r"unix:\x40{}", Escaped(rest)),
                path => write!(f, "unix:{}", Escaped(path)),
            },
            Addr::UnixAbstract(name) => write!(f, "unix:@{}", Escaped(name)),
            Addr::UnixUnnamed => f.write_str("unix:"),
        }
    }
}

/// The bytes of a path or a name, as a text that [`unescape`] reads back. Only what would mislead a
/// reader or is no text is escaped: backslashes, control characters, and bytes that are not UTF-8.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            let mut bytes = bytes.iter();
            bytes.try_for_each(|byte| write!(f, r"\x{byte:02x}"))
        };
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '\\' => f.write_str(r"\\")?,
                    letter if letter.is_control() => {
                        escape(f, letter.encode_utf8(&mut [0; 4]).as_bytes())?;
                    }
                    letter => f.write_char(letter)?,
                }
            }
            escape(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// The bytes of a text in which `\\` is a backslash and `\xNN` a byte. Any other backslash is itself.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let (byte, after) = match escape.strip_prefix('\\') {
            Some(after) => (b'\\', after),
            None => hexadecimal(escape).unwrap_or((b'\\', escape)),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes.extend(rest.bytes());
    bytes
}

/// The byte that `xNN` names, and the text behind it.
fn hexadecimal(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.strip_prefix('x')?.split_at_checked(2)?;
    // `from_str_radix` alone would accept a sign.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then_some(())?;
    Some((u8::from_str_radix(digits, 16).ok()?, rest))
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
    /// name, `unix:@name`. In a path and a name, `\\` is a backslash, and `\xNN` the byte with that
    /// hexadecimal number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ParseAddrError::new(text)),
            Some(path) => Ok(match path.strip_prefix('@') {
                Some(name) => Addr::UnixAbstract(unescape(name)),
                None => Addr::UnixPath(OsString::from_vec(unescape(path)).into()),
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
    let (host, port) = host.zip(port_of(port)).ok_or_else(wrong)?;
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
    use std::net::SocketAddrV6;

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
    fn every_name_is_printed_as_a_text_that_parses_to_the_same_address() {
        let check = |addr: Addr| {
            let text = addr.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert_eq!(text.parse(), Ok(addr), "{text}");
        };
        let both = |name: &[u8]| {
            check(Addr::UnixAbstract(name.to_owned()));
            check(Addr::UnixPath(OsStr::from_bytes(name).into()));
        };
        // Each pair of bytes, since an escape, a letter and the `@` begin with one byte each.
        for first in 0..=255 {
            both(&[first]);
            for second in 0..=255 {
                both(&[first, second]);
                both(&[b'a', first, second, b'b']);
            }
        }
        for name in [
            r"\x41",
            r"\\x41",
            r"\x",
            r"\x4",
            r"\x+1",
            "ä\u{85}€",
            "/run/@a b\"",
        ] {
            both(name.as_bytes());
        }
        check(Addr::UnixAbstract(Vec::new()));
        for ip in ["0.0.0.0", "255.1.2.3", "::", "fe80::1", "::ffff:1.2.3.4"] {
            for port in [0, 1, 65535] {
                check(SocketAddr::new(ip.parse().unwrap(), port).into());
            }
        }
        let scoped = |scope| SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, scope);
        for scope in [1, 7, u32::MAX] {
            check(SocketAddr::V6(scoped(scope)).into());
        }
    }

    #[test]
    fn a_text_names_bytes_by_escapes_and_every_other_backslash_is_itself() {
        for (text, name) in [
            (r"unix:@a\x00\xFfb", &b"a\0\xffb"[..]),
            (r"unix:@a\\x41", br"a\x41"),
            (r"unix:@\a\x4g\x4", br"\a\x4g\x4"),
            ("unix:@a\"b", b"a\"b"),
        ] {
            assert_eq!(text.parse(), Ok(Addr::UnixAbstract(name.to_owned())));
        }
        let path = r"unix:\x40a".parse();
        assert_eq!(path, Ok(Addr::UnixPath("@a".into())));
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
