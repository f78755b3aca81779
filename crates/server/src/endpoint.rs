//! How the command line names an address.

use oneloop::net::Addr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where to listen or to connect to, before a name is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// These addresses, one after the other.
    Addrs(Vec<Addr>),
    /// The name of a host, and a port.
    Name(String, u16),
}

impl Endpoint {
    /// Parses HOST:PORT, PORT, unix:PATH or unix:@NAME. A link-local IPv6 address has its
    /// interface, by name or number, behind a %. PORT, :PORT and localhost:PORT mean this machine
    /// only, in both families.
    pub(crate) fn parse(text: &str) -> Option<Endpoint> {
        if let Ok(addr) = text.parse() {
            return Some(Endpoint::Addrs(vec![addr]));
        }
        // Not a name with a port: a path may contain a colon.
        if text.starts_with("unix:") {
            return None;
        }
        let port = text
            .strip_prefix("localhost:")
            .or(text.strip_prefix(':'))
            .unwrap_or(text);
        if let Some(port) = port_of(port) {
            // Loopback, not all addresses: an echo or chat server should face a network only if
            // asked to.
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let addrs = loopback.map(|ip| Addr::Inet(SocketAddr::new(ip, port)));
            return Some(Endpoint::Addrs(addrs.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_name = !host.is_empty() && !host.contains([':', '/', '%']);
        is_name.then_some(())?;
        Some(Endpoint::Name(host.to_owned(), port_of(port)?))
    }

    /// Explains why [`Endpoint::parse`] rejects a text.
    pub(crate) fn what_is_wrong(text: &str) -> String {
        let Err(error) = text.parse::<Addr>() else {
            return "give HOST:PORT, PORT or unix:PATH".to_owned();
        };
        match error.missing_interface() {
            Some(name) => format!("there is no interface '{name}'"),
            None => format!("it {}", error.problem()),
        }
    }

    /// True for port 0, which means any free port: a server can listen on it, not be reached by it.
    pub(crate) fn has_port_0(&self) -> bool {
        match self {
            Endpoint::Addrs(addrs) => addrs
                .iter()
                .filter_map(Addr::inet)
                .any(|addr| addr.port() == 0),
            Endpoint::Name(_, port) => *port == 0,
        }
    }
}

/// A port in digits alone: `u16::from_str` accepts a sign as well.
fn port_of(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(texts: &[&str]) -> Option<Endpoint> {
        let addrs = texts.iter().map(|text| text.parse().unwrap());
        Some(Endpoint::Addrs(addrs.collect()))
    }

    #[test]
    fn a_port_alone_is_this_machine_in_both_families() {
        for text in ["80", ":80", "localhost:80"] {
            assert_eq!(
                Endpoint::parse(text),
                addrs(&["127.0.0.1:80", "[::1]:80"]),
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_are_distinguished_from_names() {
        assert_eq!(Endpoint::parse("[::1]:80"), addrs(&["[::1]:80"]));
        assert_eq!(Endpoint::parse("unix:@a"), addrs(&["unix:@a"]));
        assert_eq!(Endpoint::parse("[fe80::1%lo]:0"), addrs(&["[fe80::1%1]:0"]));
        let why = Endpoint::what_is_wrong("[fe80::1%nowhere]:0");
        assert_eq!(why, "there is no interface 'nowhere'");
        let name = Some(Endpoint::Name("example.org".to_owned(), 80));
        assert_eq!(Endpoint::parse("example.org:80"), name);
        for text in [
            "",
            "unix:",
            "host",
            "host:",
            "host:99999",
            "+80",
            "localhost:+80",
            "example.org:+80",
            "a/b:80",
            "::1:80",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
