//! `--allow` and `--deny`: which clients may connect.

use super::networks::{Network, Networks};
use oneloop::net::Addr;

/// Which clients may connect.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessList {
    /// Whether clients of these networks may.
    is_allowed: Networks<bool>,
    /// The rest may, too: no network was allowed by name.
    allows_others: bool,
}

impl AccessList {
    /// Clients of networks in `allow` may connect, and those in `deny` may not; the smaller network
    /// wins. If there is an `allow`, all other clients may not.
    pub(crate) fn new(allow: &[Network], deny: &[Network]) -> Self {
        let mut is_allowed = Networks::default();
        for (networks, allows) in [(allow, true), (deny, false)] {
            for network in networks {
                is_allowed.insert(*network, allows);
            }
        }
        AccessList {
            is_allowed,
            allows_others: allow.is_empty(),
        }
    }

    pub(crate) fn allows(&self, addr: &Addr) -> bool {
        let of_network = self.is_allowed.get(addr).copied();
        of_network.unwrap_or(self.allows_others)
    }
}

/// A network that is in both lists.
pub(crate) fn contradiction<'a>(allow: &'a [Network], deny: &[Network]) -> Option<&'a Network> {
    allow.iter().find(|network| deny.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<Network> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn assert_list(allow: &[&str], deny: &[&str], allowed: &[&str], denied: &[&str]) {
        let list = AccessList::new(&networks(allow), &networks(deny));
        for (addrs, is_allowed) in [(allowed, true), (denied, false)] {
            for addr in addrs {
                assert_eq!(list.allows(&addr.parse().unwrap()), is_allowed, "{addr}");
            }
        }
    }

    #[test]
    fn a_list_of_allowed_networks_excludes_all_others() {
        let (inside, outside) = ("10.1.1.1:1", "192.0.2.1:1");
        assert_list(&[], &[], &[inside, outside, "unix:/x"], &[]);
        assert_list(
            &["10.0.0.0/8"],
            &[],
            &[inside],
            &[outside, "[::1]:1", "unix:/x"],
        );
        assert_list(
            &[],
            &["10.0.0.0/8"],
            &[outside, "[::1]:1", "unix:/x"],
            &[inside],
        );
        assert_list(
            &["10.0.0.0/8", "unix"],
            &[],
            &[inside, "unix:/x"],
            &[outside],
        );
    }

    #[test]
    fn an_exception_may_have_exceptions() {
        assert_list(
            &["10.0.0.0/8", "10.1.1.1"],
            &["10.1.0.0/16"],
            &["10.2.0.1:1", "10.1.1.1:1"],
            &["10.1.1.2:1", "192.0.2.1:1"],
        );
    }

    #[test]
    fn a_network_is_on_one_list() {
        let (some, others) = (networks(&["10.0.0.0/8"]), networks(&["::1", "10.0.0.0/8"]));
        assert_eq!(contradiction(&some, &others), Some(&some[0]));
        assert_eq!(contradiction(&some, &others[..1]), None);
    }
}
