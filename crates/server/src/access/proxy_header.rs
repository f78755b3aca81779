//! The PROXY protocol, versions 1 and 2: by its header, a balancer introduces the client whose
//! bytes follow.
//!
//! The crate `ppp` knows the format. This file decides what is enough of a header, what of it
//! counts, and what is no header at all. Bytes behind the header are not touched.

use crate::introduction::Introduction;
use clap::ValueEnum;
use oneloop::net::Addr;
use ppp::{PartialResult, v1, v2};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest header of version 1, its end of line included.
const V1_BYTES_MAX: usize = 107;
/// The longest header that is read. Version 2 could have 64 KiB, but its addresses take at most 216
/// bytes, and what balancers add to them some hundred.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;

const V1_START: &[u8] = b"PROXY ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";
const V1_END: &[u8] = b"\r\n";

/// The version of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderVersion {
    /// A line of text
    V1,
    /// Binary
    V2,
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a header.
    Partial,
    /// A header of that many bytes. Without an introduction the connection is the balancer's own,
    /// or the balancer does not know the client's address.
    Header(usize, Option<Introduction>),
    /// A header that breaks the protocol.
    Invalid,
    /// Something else.
    NoHeader,
}

/// Parses the first bytes of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    if begins_as(bytes, v2::PROTOCOL_PREFIX) {
        parse_v2(bytes)
    } else if begins_as(bytes, V1_START) {
        parse_v1(bytes)
    } else {
        Parsed::NoHeader
    }
}

/// True if one of the two is the beginning of the other.
fn begins_as(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

fn parse_v1(bytes: &[u8]) -> Parsed {
    // ppp takes a line that is cut off right before its last port for a wrong one, so it only gets
    // whole lines.
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() < V1_BYTES_MAX {
            true => Parsed::Partial,
            false => Parsed::Invalid,
        };
    };
    let line = &bytes[..=end];
    let Some(words) = line.strip_suffix(V1_END) else {
        return Parsed::Invalid;
    };
    // Whatever else the line has must be ignored then, and ppp counts its words.
    let unknown = words.strip_prefix(V1_UNKNOWN);
    if unknown.is_some_and(|rest| rest.is_empty() || rest[0] == b' ') {
        return Parsed::Header(line.len(), None);
    }
    let Ok(header) = v1::Header::try_from(line) else {
        return Parsed::Invalid;
    };
    let introduction = match header.addresses {
        v1::Addresses::Tcp4(addrs) => introduce_inet(
            (addrs.source_address, addrs.source_port),
            (addrs.destination_address, addrs.destination_port),
        ),
        v1::Addresses::Tcp6(addrs) => introduce_inet(
            (addrs.source_address, addrs.source_port),
            (addrs.destination_address, addrs.destination_port),
        ),
        v1::Addresses::Unknown => return Parsed::Invalid, // handled above
    };
    match header.header.len() == line.len() {
        true => Parsed::Header(line.len(), Some(introduction)),
        false => Parsed::Invalid,
    }
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let header = v2::Header::try_from(bytes);
    if header.is_incomplete() {
        // The length stands behind the addresses' family, and is known early.
        let announced = bytes.get(14..16);
        let announced =
            announced.map_or(0, |two| usize::from(u16::from_be_bytes([two[0], two[1]])));
        return match v2::PROTOCOL_PREFIX.len() + 4 + announced <= HEADER_BYTES_MAX {
            true => Parsed::Partial,
            false => Parsed::Invalid,
        };
    }
    match header {
        Ok(header) if header.len() <= HEADER_BYTES_MAX && header.tlvs().all(|tlv| tlv.is_ok()) => {
            Parsed::Header(header.len(), introduction_of(&header))
        }
        _ => Parsed::Invalid,
    }
}

fn introduction_of(header: &v2::Header<'_>) -> Option<Introduction> {
    let is_proxied =
        header.command == v2::Command::Proxy && header.protocol == v2::Protocol::Stream;
    match header.addresses {
        v2::Addresses::IPv4(addrs) if is_proxied => Some(introduce_inet(
            (addrs.source_address, addrs.source_port),
            (addrs.destination_address, addrs.destination_port),
        )),
        v2::Addresses::IPv6(addrs) if is_proxied => Some(introduce_inet(
            (addrs.source_address, addrs.source_port),
            (addrs.destination_address, addrs.destination_port),
        )),
        v2::Addresses::Unix(addrs) if is_proxied => Some(Introduction {
            from: unix_addr(&addrs.source),
            to: unix_addr(&addrs.destination),
        }),
        _ => None,
    }
}

fn introduce_inet<A: Into<IpAddr>>(from: (A, u16), to: (A, u16)) -> Introduction {
    let addr = |(ip, port): (A, u16)| Addr::Inet(SocketAddr::new(ip.into(), port));
    Introduction {
        from: addr(from),
        to: addr(to),
    }
}

/// The address in the 108 bytes of a `sun_path`: a path up to its first NUL, an abstract name
/// behind one, or nothing.
fn unix_addr(sun_path: &[u8]) -> Addr {
    let trimmed = |bytes: &[u8]| {
        let end = bytes.iter().rposition(|byte| *byte != 0);
        bytes[..end.map_or(0, |last| last + 1)].to_owned()
    };
    match sun_path.split_first() {
        Some((0, name)) => match trimmed(name) {
            name if name.is_empty() => Addr::UnixUnnamed,
            name => Addr::UnixAbstract(name),
        },
        _ => {
            let path = sun_path.split(|byte| *byte == 0).next().unwrap_or_default();
            Addr::UnixPath(Path::new(OsStr::from_bytes(path)).to_owned())
        }
    }
}

/// The header by which a client is introduced to an upstream. What one of the two ends does not
/// have, or a version cannot say, is unknown to the upstream.
pub(crate) fn header(version: HeaderVersion, from: &Addr, to: &Addr) -> Vec<u8> {
    match version {
        HeaderVersion::V1 => header_v1(from, to),
        HeaderVersion::V2 => header_v2(from, to),
    }
}

fn header_v1(from: &Addr, to: &Addr) -> Vec<u8> {
    let addrs = from.inet().zip(to.inet()).map(of_one_family);
    let addrs = match addrs {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            v1::Addresses::new_tcp4(*from.ip(), *to.ip(), from.port(), to.port())
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            v1::Addresses::new_tcp6(*from.ip(), *to.ip(), from.port(), to.port())
        }
        _ => v1::Addresses::Unknown,
    };
    addrs.to_string().into_bytes()
}

fn header_v2(from: &Addr, to: &Addr) -> Vec<u8> {
    let (addrs, protocol) = match (from.inet(), to.inet()) {
        (Some(from), Some(to)) => {
            let addrs = v2::Addresses::from(of_one_family((from, to)));
            (addrs, v2::Protocol::Stream)
        }
        (None, None) => {
            let addrs = v2::Unix::new(sun_path(from), sun_path(to));
            (v2::Addresses::Unix(addrs), v2::Protocol::Stream)
        }
        _ => (v2::Addresses::Unspecified, v2::Protocol::Unspecified),
    };
    let command = v2::Version::Two | v2::Command::Proxy;
    v2::Builder::with_addresses(command, protocol, addrs)
        .build()
        .expect("addresses take at most 216 bytes")
}

/// The two addresses, as a header needs them: an IPv4 address beside an IPv6 address is mapped to
/// IPv6.
fn of_one_family((from, to): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let (from, to) = (canonical(from), canonical(to));
    if from.is_ipv4() == to.is_ipv4() {
        return (from, to);
    }
    let mapped = |addr: SocketAddr| {
        let ip: Ipv6Addr = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        SocketAddr::new(ip.into(), addr.port())
    };
    (mapped(from), mapped(to))
}

/// A Unix address as the 108 bytes of a `sun_path`.
fn sun_path(addr: &Addr) -> [u8; 108] {
    let (start, name): (usize, &[u8]) = match addr {
        Addr::UnixPath(path) => (0, path.as_os_str().as_bytes()),
        Addr::UnixAbstract(name) => (1, name),
        _ => (0, &[]),
    };
    let mut sun_path = [0; 108];
    let room = &mut sun_path[start..];
    let count = name.len().min(room.len()); // no kernel has a longer one
    room[..count].copy_from_slice(&name[..count]);
    sun_path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(from: &str, to: &str) -> Introduction {
        Introduction {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    const V4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80];

    /// Each beginning of a header is partial, and bytes behind it change nothing.
    #[track_caller]
    fn assert_header(bytes: &[u8], expected: Option<Introduction>) {
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), Parsed::Partial, "{length} bytes");
        }
        let header = Parsed::Header(bytes.len(), expected);
        assert_eq!(parse(bytes), header);
        for rest in [&b"\n"[..], b"GET /", bytes] {
            assert_eq!(parse(&[bytes, rest].concat()), header);
        }
    }

    #[test]
    fn a_line_of_version_1_introduces_a_tcp_client() {
        assert_header(
            b"PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r\n",
            Some(introduction("10.0.0.1:12345", "10.0.0.2:80")),
        );
        assert_header(
            b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n",
            Some(introduction("[2001:db8::1]:12345", "[::1]:80")),
        );
    }

    #[test]
    fn an_unknown_client_may_be_followed_by_anything() {
        assert_header(b"PROXY UNKNOWN\r\n", None);
        assert_header(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
        assert_header(b"PROXY UNKNOWN a b c d e f g h\r\n", None);
    }

    #[test]
    fn a_header_of_version_2_introduces_a_tcp_or_a_unix_client() {
        let v4 = introduction("10.0.0.1:12345", "10.0.0.2:80");
        assert_header(&v2(0x21, 0x11, &V4), Some(v4.clone()));
        let with_tlvs = [&V4[..], &[0x04, 0, 1, 42, 0x05, 0, 2, 7, 7]].concat();
        assert_header(&v2(0x21, 0x11, &with_tlvs), Some(v4));
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 5, 6);
        let expected = introduction("[::1]:5", "[::2]:6");
        assert_header(&v2(0x21, 0x21, &v6), Some(expected));
        let mut unix = [0; 216];
        unix[108..114].copy_from_slice(b"/run/x");
        let expected = Introduction {
            from: Addr::UnixUnnamed,
            to: "unix:/run/x".parse().unwrap(),
        };
        assert_header(&v2(0x21, 0x31, &unix), Some(expected));
    }

    #[test]
    fn a_connection_of_the_balancer_itself_introduces_no_client() {
        assert_header(&v2(0x20, 0x00, &[]), None);
        assert_header(&v2(0x20, 0x11, &V4), None);
        assert_header(&v2(0x21, 0x00, &[4, 0, 0]), None);
        assert_header(&v2(0x21, 0x12, &V4), None); // a datagram is no connection
    }

    #[test]
    fn what_breaks_the_protocol_is_invalid() {
        for line in [
            "PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 12345\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 12345 80 90\r\n",
            "PROXY TCP4  10.0.0.1 10.0.0.2 12345 80\r\n",
            "PROXY TCP4 10.0.0.1\r10.0.0.2 12345 80\r\n",
            "PROXY TCP4 ::1 ::1 12345 80\r\n",
            "PROXY TCP6 10.0.0.1 10.0.0.2 12345 80\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 65536 80\r\n",
            "PROXY tcp4 10.0.0.1 10.0.0.2 12345 80\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "PROXY \u{1}\u{0}\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Parsed::Invalid, "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
        assert_eq!(parse(long.as_bytes()), Parsed::Invalid);
        for (command, family, payload) in [
            (0x11, 0x11, &V4[..]), // version 1 in binary
            (0x22, 0x11, &V4),     // no such command
            (0x21, 0x41, &V4),     // no such family
            (0x21, 0x13, &V4),     // no such protocol
            (0x21, 0x11, &V4[..11]),
            (0x21, 0x21, &V4),
            (0x21, 0x11, &[&V4[..], &[4]].concat()),
            (0x21, 0x11, &[&V4[..], &[4, 0, 9, 1]].concat()),
        ] {
            let bytes = v2(command, family, payload);
            assert_eq!(parse(&bytes), Parsed::Invalid, "{bytes:?}");
        }
    }

    #[test]
    fn a_header_that_is_too_long_is_invalid_as_soon_as_its_length_is_known() {
        let fits = v2(0x20, 0x00, &padding(HEADER_BYTES_MAX - 16));
        assert_eq!(parse(&fits), Parsed::Header(HEADER_BYTES_MAX, None));
        let long = v2(0x20, 0x00, &padding(HEADER_BYTES_MAX - 15));
        for length in [16, 17, long.len()] {
            assert_eq!(parse(&long[..length]), Parsed::Invalid);
        }
    }

    /// A value without meaning, of that many bytes.
    fn padding(bytes: usize) -> Vec<u8> {
        let mut padding = vec![0; bytes];
        padding[0] = 4;
        let length = u16::try_from(bytes - 3).unwrap().to_be_bytes();
        padding[1..3].copy_from_slice(&length);
        padding
    }

    #[test]
    fn other_bytes_are_no_header() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY\r\n",
            b"proxy ",
            b"\r\n\r\n\r\n",
            b"\0",
        ] {
            assert_eq!(parse(bytes), Parsed::NoHeader, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_one_server_writes_another_one_reads() {
        for (from, to, in_v1) in [
            ("10.0.0.1:1", "10.0.0.2:65535", true),
            ("[2001:db8::1]:1", "[::1]:2", true),
            ("unix:/run/a", "unix:/run/b", false),
            ("unix:@a", "unix:@b", false),
        ] {
            let client = introduction(from, to);
            for version in [HeaderVersion::V1, HeaderVersion::V2] {
                let bytes = header(version, &client.from, &client.to);
                let is_known = in_v1 || version == HeaderVersion::V2;
                assert_header(&bytes, is_known.then(|| client.clone()));
            }
        }
    }

    #[test]
    fn addresses_of_two_families_become_one() {
        let parsed = |from: &str, to: &str, version| {
            let bytes = header(version, &from.parse().unwrap(), &to.parse().unwrap());
            match parse(&bytes) {
                Parsed::Header(_, introduction) => introduction,
                other => panic!("{other:?}"),
            }
        };
        for version in [HeaderVersion::V1, HeaderVersion::V2] {
            assert_eq!(
                parsed("[::ffff:10.0.0.1]:1", "10.0.0.2:2", version),
                Some(introduction("10.0.0.1:1", "10.0.0.2:2"))
            );
            assert_eq!(
                parsed("10.0.0.1:1", "[::1]:2", version),
                Some(introduction("[::ffff:10.0.0.1]:1", "[::1]:2"))
            );
            assert_eq!(parsed("10.0.0.1:1", "unix:/x", version), None);
        }
    }
}
