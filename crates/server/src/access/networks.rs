//! Networks that the command line names, and which of them an address belongs to.

use ipnet::IpNet;
use oneloop::net::Addr;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const USAGE: &str = "give a network such as 10.0.0.0/8 or 2001:db8::/32, an address, or unix";

/// Where clients come from: an IP network, or the Unix sockets of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    Ip(IpNet),
    Unix,
}

impl FromStr for Network {
    type Err = String;

    /// `ADDRESS/BITS`, an address alone, or `unix`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Network::Unix);
        }
        let net = match text.parse::<IpAddr>() {
            Ok(addr) => IpNet::from(addr),
            Err(_) => parse_net(text)?,
        };
        // A bit behind the prefix has no effect, and mostly shows that the prefix is wrong.
        if net.trunc() != net {
            return Err(format!(
                "'{text}' has bits behind its prefix: write {}",
                net.trunc()
            ));
        }
        Ok(Network::Ip(canonical(net)))
    }
}

fn parse_net(text: &str) -> Result<IpNet, String> {
    let wrong = || format!("'{text}' is no network: {USAGE}");
    let (addr, bits) = text.split_once('/').ok_or_else(wrong)?;
    let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
    let bits_max = IpNet::from(addr).max_prefix_len();
    let bits = bits
        .parse()
        .ok()
        .and_then(|bits| IpNet::new(addr, bits).ok());
    bits.ok_or_else(|| format!("'{text}' needs a prefix of 0 to {bits_max} bits"))
}

/// IPv4 clients of an IPv6 socket have mapped addresses (RFC 4291, 2.5.5.2), and so may a network.
fn canonical(net: IpNet) -> IpNet {
    let IpAddr::V4(addr) = net.addr().to_canonical() else {
        return net;
    };
    let mapped_bits = net.max_prefix_len() - 32;
    let bits = net.prefix_len().checked_sub(mapped_bits);
    bits.and_then(|bits| IpNet::new(addr.into(), bits).ok())
        .unwrap_or(net)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Ip(net) => net.fmt(f),
            Network::Unix => f.write_str("unix"),
        }
    }
}

/// A value for each of some networks. An address has the value of the smallest network that it
/// belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Networks<V> {
    values: HashMap<Network, V>,
    /// The prefix lengths of the networks, the longest first: those of IPv4, and those of IPv6.
    lengths: [Vec<u8>; 2],
}

impl<V> Default for Networks<V> {
    fn default() -> Self {
        Networks {
            values: HashMap::new(),
            lengths: Default::default(),
        }
    }
}

impl<V> Networks<V> {
    /// Returns the value that the network had before.
    pub(crate) fn insert(&mut self, network: Network, value: V) -> Option<V> {
        if let Network::Ip(net) = network {
            let lengths = &mut self.lengths[family(net.addr())];
            lengths.push(net.prefix_len());
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
        }
        self.values.insert(network, value)
    }

    /// The value for an address, if it belongs to one of the networks. The look-up costs one look
    /// into a table for each length of a prefix, however many networks there are.
    pub(crate) fn get(&self, addr: &Addr) -> Option<&V> {
        let Some(addr) = addr.inet() else {
            return self.values.get(&Network::Unix);
        };
        let ip = addr.ip().to_canonical();
        let mut lengths = self.lengths[family(ip)].iter();
        lengths.find_map(|&bits| {
            let net = IpNet::new(ip, bits).ok()?.trunc();
            self.values.get(&Network::Ip(net))
        })
    }
}

fn family(ip: IpAddr) -> usize {
    usize::from(ip.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[(&str, u8)]) -> Networks<u8> {
        let mut networks = Networks::default();
        for (text, value) in list {
            networks.insert(text.parse().unwrap(), *value);
        }
        networks
    }

    #[test]
    fn the_longest_prefix_wins() {
        let networks = networks(&[
            ("0.0.0.0/0", 0),
            ("10.0.0.0/8", 8),
            ("10.1.0.0/16", 16),
            ("10.1.2.3", 32),
            ("2001:db8::/32", 6),
        ]);
        for (addr, value) in [
            ("192.0.2.1:1", Some(0)),
            ("10.9.9.9:1", Some(8)),
            ("10.1.9.9:1", Some(16)),
            ("10.1.2.3:1", Some(32)),
            ("[::ffff:10.1.2.3]:1", Some(32)),
            ("[2001:db8:9::1]:1", Some(6)),
            ("[2001:db9::1]:1", None),
            ("unix:/run/x", None),
        ] {
            let found = networks.get(&addr.parse().unwrap()).copied();
            assert_eq!(found, value, "{addr}");
        }
    }

    #[test]
    fn unix_clients_have_a_word() {
        let networks = networks(&[("unix", 1)]);
        assert_eq!(networks.get(&Addr::UnixUnnamed), Some(&1));
        assert_eq!(networks.get(&"127.0.0.1:1".parse().unwrap()), None);
    }

    #[test]
    fn a_network_is_printed_as_it_is_written() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "::/0", "unix"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        let mapped = "::ffff:10.0.0.0/104".parse::<Network>().unwrap();
        assert_eq!(mapped.to_string(), "10.0.0.0/8");
        let wider = "::ffff:0:0/80".parse::<Network>().unwrap_err();
        assert_eq!(
            wider,
            "'::ffff:0:0/80' has bits behind its prefix: write ::/80"
        );
    }

    #[test]
    fn a_wrong_network_is_answered_with_a_right_one() {
        for (text, problem) in [
            (
                "10.1.2.3/8",
                "'10.1.2.3/8' has bits behind its prefix: write 10.0.0.0/8",
            ),
            (
                "10.0.0.0/33",
                "'10.0.0.0/33' needs a prefix of 0 to 32 bits",
            ),
            ("::/x", "'::/x' needs a prefix of 0 to 128 bits"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap_err(), problem);
        }
        for text in [
            "",
            "10",
            "example.org",
            "10.0.0.0/8/8",
            "Unix",
            "10.0.0.1:80",
        ] {
            let problem = text.parse::<Network>().unwrap_err();
            assert!(problem.starts_with(&format!("'{text}' ")), "{problem}");
        }
    }
}
