//! Endpoints and options: the first arguments of Node's functions.

use crate::abort::AbortSignal;
use crate::error::Error;
use oneloop_net::Addr;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default limit of buffered bytes in each direction: `getDefaultHighWaterMark()` of Node 20.
const HIGH_WATER_MARK: usize = 16 * 1024;

/// A port, a host and port, or the path of a Unix socket.
///
/// A text is what it looks like: a port in digits; `HOST:PORT`, which Node takes for a path; or
/// else a path. A text with a colon that is neither, such as `localhost:` or `::1:8080`, is an
/// error of the call that uses it. A path with a colon has a slash, `./a:b`, or is passed as a
/// [`Path`].
///
/// ```
/// use oneloop::callback::net::Endpoint;
/// let _: [Endpoint; 5] = [
///     8080.into(),
///     ("127.0.0.1", 8080).into(),
///     "localhost:8080".into(),
///     "/run/echo.sock".into(),
///     std::net::SocketAddr::from(([127, 0, 0, 1], 8080)).into(),
/// ];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A port, of the host if there is one. A number that is no port is refused when it is used.
    Port {
        /// A name or an IP address. Without it, connecting uses `localhost`, and listening all
        /// addresses of this machine.
        host: Option<String>,
        /// 0 to 65,535.
        port: i64,
    },
    /// An address and port, including the scope of an IPv6 address.
    Addr(SocketAddr),
    /// A Unix socket; a path that begins with a NUL is an abstract name.
    Path(PathBuf),
    /// What is wrong with a text that has a colon, and is neither `HOST:PORT` nor a path.
    Malformed(String),
}

impl Endpoint {
    /// Checks that a number is a port. `name` stands in the error.
    pub(crate) fn checked_port(port: i64, name: &str) -> Result<u16, Error> {
        u16::try_from(port).map_err(|_| {
            let message =
                format!("{name} should be >= 0 and < 65536. Received type number ({port}).");
            Error::new("ERR_SOCKET_BAD_PORT", message)
        })
    }

    /// The error of using a [`Endpoint::Malformed`].
    pub(crate) fn refused(problem: String) -> Error {
        // Node has the code, for addresses that it does not understand.
        Error::new("ERR_INVALID_ADDRESS", problem)
    }

    pub(super) fn unix_addr(path: &Path) -> Addr {
        match path.as_os_str().as_bytes() {
            // unix(7): a name that begins with a NUL byte is abstract; it has no file.
            [0, name @ ..] => Addr::UnixAbstract(name.to_owned()),
            _ => Addr::UnixPath(path.to_owned()),
        }
    }
}

// Signed and wide integers, too: a number that is no port is Node's error, and found at run time.
macro_rules! from_ports {
    ($($int:ty),*) => {
        $(
            impl From<$int> for Endpoint {
                fn from(port: $int) -> Self {
                    Endpoint::Port {
                        host: None,
                        port: port.into(),
                    }
                }
            }

            impl From<(&str, $int)> for Endpoint {
                fn from((host, port): (&str, $int)) -> Self {
                    Endpoint::Port {
                        // In Node, an empty host is none.
                        host: Some(host.to_owned()).filter(|host| !host.is_empty()),
                        port: port.into(),
                    }
                }
            }

            impl From<(IpAddr, $int)> for Endpoint {
                fn from((ip, port): (IpAddr, $int)) -> Self {
                    (ip.to_string().as_str(), port).into()
                }
            }
        )*
    };
}

from_ports!(u16, i32, u32, i64);

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Endpoint::Addr(addr)
    }
}

impl From<&str> for Endpoint {
    /// A port in digits, `HOST:PORT`, or a path: see [`Endpoint`]. `unix:PATH` and `unix:@NAME`
    /// are what they are in the other styles.
    fn from(text: &str) -> Self {
        // `server.listen('8080')` is a port in Node as well, and `Number('')` is 0.
        if text.is_empty() {
            return 0.into();
        }
        if let Ok(port) = text.parse::<i64>() {
            return port.into();
        }
        match text.parse() {
            Ok(Addr::Inet(addr)) => Endpoint::Addr(addr),
            // As a `Path`, it would be an abstract name. The other styles refuse it, too.
            Ok(Addr::UnixPath(path)) if path.as_os_str().as_bytes()[0] == 0 => {
                Endpoint::Malformed(format!(
                    "'{}' has a path that begins with a NUL: write unix:@NAME",
                    text.escape_debug()
                ))
            }
            Ok(Addr::UnixPath(path)) => Endpoint::Path(path),
            Ok(Addr::UnixAbstract(name)) => {
                Endpoint::Path(OsString::from_vec([&[0], &name[..]].concat()).into())
            }
            Err(problem) if text.contains(':') && !text.contains(['/', '\0']) => {
                host_and_port(text).unwrap_or_else(|| {
                    let path = format!("as the path of a Unix socket, write ./{text}");
                    Endpoint::Malformed(format!("{problem}; {path}"))
                })
            }
            _ => Endpoint::Path(text.into()),
        }
    }
}

fn host_and_port(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    // An IPv6 address without its brackets is ambiguous: `::1:80`.
    let is_ambiguous = host.contains(':') || host.trim() != host;
    let port = port.parse::<i64>().ok()?;
    Some((host, port).into()).filter(|_| !is_ambiguous)
}

/// As from a `&str`.
impl From<&String> for Endpoint {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// As from a `&str`.
impl From<String> for Endpoint {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Path> for Endpoint {
    fn from(path: &Path) -> Self {
        Endpoint::Path(path.into())
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Endpoint::Path(path)
    }
}

/// How to make a socket: `new net.Socket(options)`.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Keeps the socket open for writing when the peer has ended.
    pub allow_half_open: bool,
    /// The limit of buffered bytes in each direction: above it, the socket stops reading, and a
    /// write returns false.
    pub high_water_mark: usize,
    /// Sends small writes at once (`TCP_NODELAY`).
    pub no_delay: bool,
    /// Makes the kernel probe a silent peer: see
    /// [`Socket::set_keep_alive`](super::Socket::set_keep_alive).
    pub keep_alive: Option<Duration>,
    /// Destroys the socket when the signal is aborted.
    pub signal: Option<AbortSignal>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            allow_half_open: false,
            high_water_mark: HIGH_WATER_MARK,
            no_delay: false,
            keep_alive: None,
            signal: None,
        }
    }
}

/// How to connect: `net.connect(options)`.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How to make the socket.
    pub socket: SocketOptions,
    /// Sets a timeout before it connects, as [`Socket::set_timeout`](super::Socket::set_timeout)
    /// does.
    pub timeout_ms: Option<f64>,
    /// The local address. A link-local one gets the interface that the peer's address names.
    pub local_address: Option<IpAddr>,
    /// The local port; 0 lets the kernel choose.
    pub local_port: u16,
    /// Uses only those of the host's addresses that are IPv4 (4) or IPv6 (6).
    pub family: Option<u8>,
    /// Tries all addresses of a host, IPv4 and IPv6 in turn. Otherwise it tries only the first.
    pub auto_select_family: bool,
    /// The time in milliseconds that one of several addresses may take before the next one is
    /// tried.
    pub auto_select_family_attempt_timeout_ms: f64,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            socket: SocketOptions::default(),
            timeout_ms: None,
            local_address: None,
            local_port: 0,
            family: None,
            // The defaults of Node 20; before, it tried only the first address.
            auto_select_family: true,
            auto_select_family_attempt_timeout_ms: 250.0,
        }
    }
}

/// How to make a server: `net.createServer(options)`.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// How to make each accepted socket. Its `signal` is not used: see [`ListenOptions::signal`].
    pub socket: SocketOptions,
    /// Accepts sockets paused: they read nothing from the kernel.
    pub pause_on_connect: bool,
}

/// How to listen: `server.listen(options)`.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// The number of connections that may wait to be accepted; 511 by default, as in Node.
    pub backlog: Option<i32>,
    /// Listens on IPv6 addresses only.
    pub ipv6_only: bool,
    /// Shares the port with other servers; the kernel spreads the connections (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Closes the server when the signal is aborted.
    pub signal: Option<AbortSignal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_in_one_text_are_no_path() {
        for (text, host) in [("localhost:80", Some("localhost")), (":80", None)] {
            let host = host.map(str::to_owned);
            assert_eq!(Endpoint::from(text), Endpoint::Port { host, port: 80 });
        }
        assert_eq!(Endpoint::from(""), Endpoint::from(0));
        // An error of `listen` and `connect`, ERR_SOCKET_BAD_PORT.
        assert_eq!(Endpoint::from("a:70000"), ("a", 70_000).into());
        for addr in ["127.0.0.1:80", "[::1]:80"] {
            assert_eq!(Endpoint::from(addr), Endpoint::Addr(addr.parse().unwrap()));
        }
        for path in [
            "/run/a:80",
            "./a:80",
            "\0a:80",
            "a.sock",
            "localhost",
            "127.0.0.1",
        ] {
            assert_eq!(Endpoint::from(path), Endpoint::Path(path.into()));
        }
        for (text, path) in [("unix:/run/a:80", "/run/a:80"), ("unix:@a", "\0a")] {
            assert_eq!(Endpoint::from(text), Endpoint::Path(path.into()));
        }
    }

    #[test]
    fn a_text_with_a_colon_that_names_no_port_is_no_path_either() {
        for (text, problem) in [
            ("127.0.0.1:", "has no port: write 127.0.0.1:8080"),
            ("::1", "has no port: write [::1]:8080"),
            (
                "::1:80",
                "needs brackets around its IPv6 address: write [::1]:80",
            ),
            (
                "127.0.0.1:http",
                "has 'http' where a port is expected, which is a number",
            ),
            (
                "localhost:80 ",
                "has spaces around it: write 'localhost:80'",
            ),
            ("unix:", "has no path: write unix:/a/path, or unix:@name"),
        ] {
            let problem =
                format!("'{text}' {problem}; as the path of a Unix socket, write ./{text}");
            assert_eq!(Endpoint::from(text), Endpoint::Malformed(problem));
        }
        let path = Path::new("::1:80");
        assert_eq!(Endpoint::from(path), Endpoint::Path(path.into()));
    }

    #[test]
    fn a_path_that_begins_with_a_nul_becomes_no_abstract_name() {
        for text in [r"unix:\x00a", "unix:\0a"] {
            let endpoint = Endpoint::from(text);
            assert!(matches!(&endpoint, Endpoint::Malformed(_)), "{endpoint:?}");
        }
    }
}
