//! Finds out whether a proxy would connect to itself: each client would come back as another
//! client, until one of them had taken all permits.

use crate::bind::Opened;
use crate::upstream::Upstream;
use oneloop::net::Addr;
use rustix::net::sockopt;
use std::fs::metadata;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Checks that no target leads to one of these listeners.
///
/// # Errors
/// A sentence that names the target, and the listener that it leads to.
pub(crate) fn check(upstream: &Upstream, own_listeners: &[OwnListener]) -> Result<(), String> {
    // To resolve a name at the start costs time, and may fail for reasons that have passed when a
    // client comes. So only names that could lead back are resolved.
    let ports: Vec<_> = own_listeners
        .iter()
        .filter_map(|own| own.addr.port())
        .collect();
    for (target, addrs) in upstream.leads_to(&ports) {
        let own = |addr: &Addr| own_listeners.iter().find(|own| own.is_reached_by(addr));
        if let Some(own) = addrs.iter().find_map(own) {
            return Err(format!(
                "cannot connect to '{target}': this server itself listens there, on {}",
                own.addr
            ));
        }
    }
    Ok(())
}

/// One of our own listeners.
#[derive(Clone, Debug)]
pub(crate) struct OwnListener {
    addr: Addr,
    /// `IPV6_V6ONLY`
    is_v6_only: bool,
}

impl OwnListener {
    pub(crate) fn of(listener: &Opened) -> Option<Self> {
        Some(OwnListener {
            addr: listener.addr()?,
            is_v6_only: sockopt::ipv6_v6only(listener).unwrap_or(false), // fails for other families
        })
    }

    /// True if a connection to that address reaches this listener.
    fn is_reached_by(&self, target: &Addr) -> bool {
        match (&self.addr, target) {
            (Addr::Inet(own), Addr::Inet(target)) => {
                own.port() == target.port() && self.takes(*own, *target)
            }
            (Addr::UnixPath(own), Addr::UnixPath(target)) => is_same_file(own, target),
            (own, target) => own == target,
        }
    }

    fn takes(&self, own: SocketAddr, target: SocketAddr) -> bool {
        let ip = reached(target.ip().to_canonical());
        let takes_family = match own {
            SocketAddr::V4(_) => ip.is_ipv4(),
            SocketAddr::V6(_) => ip.is_ipv6() || !self.is_v6_only,
        };
        if own.ip().is_unspecified() {
            return takes_family && is_of_this_machine(target, ip);
        }
        // The same link-local address may exist once on each interface.
        let scope = |addr| match addr {
            SocketAddr::V6(addr) => addr.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        own.ip().to_canonical() == ip && scope(own) == scope(target)
    }
}

/// The address that connect(2) really goes to: for "all addresses" the loopback address.
fn reached(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// True for an address of this machine: bind(2) fails for others.
fn is_of_this_machine(target: SocketAddr, ip: IpAddr) -> bool {
    let mut addr = target;
    addr.set_ip(ip);
    addr.set_port(0);
    ip.is_loopback() || (!ip.is_multicast() && UdpSocket::bind(addr).is_ok())
}

/// True for two names of one file.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| metadata(path).ok().map(|file| (file.dev(), file.ino()));
    id(a).is_some() && id(a) == id(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(own: &str, is_v6_only: bool, target: &str) -> bool {
        let own = OwnListener {
            addr: own.parse().unwrap(),
            is_v6_only,
        };
        own.is_reached_by(&target.parse().unwrap())
    }

    #[test]
    fn an_address_leads_to_the_listener_on_it() {
        assert!(reaches("127.0.0.1:7", false, "127.0.0.1:7"));
        assert!(reaches("127.0.0.1:7", false, "0.0.0.0:7"));
        assert!(reaches("127.0.0.1:7", false, "[::ffff:127.0.0.1]:7"));
        assert!(reaches("[::1]:7", false, "[::]:7"));
        assert!(reaches("[fe80::1%1]:7", false, "[fe80::1%1]:7"));
        assert!(reaches("unix:@a", false, "unix:@a"));
        for other in [
            "127.0.0.1:8",
            "127.0.0.2:7",
            "[::1]:7",
            "192.0.2.1:7",
            "unix:@a",
        ] {
            assert!(!reaches("127.0.0.1:7", false, other), "{other}");
        }
        assert!(!reaches("[fe80::1%1]:7", false, "[fe80::1%2]:7"));
        assert!(!reaches("unix:@a", false, "unix:@b"));
    }

    #[test]
    fn every_address_of_this_machine_leads_to_a_listener_on_all_addresses() {
        for target in [
            "127.0.0.1:7",
            "127.3.4.5:7",
            "0.0.0.0:7",
            "[::ffff:127.0.0.1]:7",
        ] {
            assert!(reaches("0.0.0.0:7", false, target), "{target}");
            assert!(reaches("[::]:7", false, target), "{target}");
            assert!(!reaches("[::]:7", true, target), "{target}");
        }
        assert!(reaches("[::]:7", true, "[::1]:7"));
        assert!(!reaches("0.0.0.0:7", false, "[::1]:7"));
        assert!(!reaches("0.0.0.0:7", false, "192.0.2.1:7"), "TEST-NET-1");
        assert!(!reaches("[::]:7", false, "[2001:db8::1]:7"));
    }
}
