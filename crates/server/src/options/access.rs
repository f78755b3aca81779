//! The options that say which clients may connect to a service, and of the PROXY protocol.

use crate::access::networks::Network;
use crate::access::owner::{Owner, SocketMode};
use crate::access::proxy_header::HeaderVersion;
use crate::access::rate::Rate;
use crate::access::sources::SourceBits;
use crate::values::{count, nonzero_time};
use clap::{Args, ValueEnum};
use humantime::Duration;

// A doc comment would become the text of `--help`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access to each service")]
pub(crate) struct AccessOptions {
    /// Serve only clients of these networks, as in 10.0.0.0/8,2001:db8::/32. `unix` means clients
    /// of Unix sockets. Where a network lies within another one of --deny, the smaller one counts
    #[arg(
        long,
        value_name = "NETWORK",
        env = "ONELOOP_ALLOW",
        value_delimiter = ','
    )]
    pub(crate) allow: Vec<Network>,

    /// Close connections from these networks at once
    #[arg(
        long,
        value_name = "NETWORK",
        env = "ONELOOP_DENY",
        value_delimiter = ','
    )]
    pub(crate) deny: Vec<Network>,

    /// How many connections may be open for one source of clients; further ones are closed at once
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_MAX_PER_SOURCE",
        value_parser = |text: &str| count(text, 1..=u32::MAX)
    )]
    pub(crate) max_per_source: Option<u32>,

    /// How many connections of one source may begin in a time, as in 10/s or 30/m; further ones are
    /// closed at once
    #[arg(long, value_name = "RATE", env = "ONELOOP_RATE_PER_SOURCE")]
    pub(crate) rate_per_source: Option<Rate>,

    /// How many leading bits of their addresses, IPv4 and IPv6, make clients one source
    #[arg(
        long,
        value_name = "IPV4,IPV6",
        env = "ONELOOP_SOURCE_BITS",
        default_value = "32,64"
    )]
    pub(crate) source_bits: SourceBits,

    /// How many connections of all sources together may begin in a time; what happens to further
    /// ones is up to --when-full
    #[arg(long, value_name = "RATE", env = "ONELOOP_ACCEPT_RATE")]
    pub(crate) accept_rate: Option<Rate>,

    /// Whether balancers introduce their clients by the PROXY protocol, version 1 or 2
    #[arg(
        long,
        value_name = "WHEN",
        env = "ONELOOP_PROXY_PROTOCOL",
        default_value = "off"
    )]
    pub(crate) proxy_protocol: ProxyProtocol,

    /// The networks of the balancers, whose headers are believed
    #[arg(
        long,
        value_name = "NETWORK",
        env = "ONELOOP_PROXY_FROM",
        value_delimiter = ','
    )]
    pub(crate) proxy_from: Vec<Network>,

    /// How long a new connection may take for its PROXY header
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_HANDSHAKE_TIMEOUT",
        default_value = "10s",
        value_parser = nonzero_time
    )]
    pub(crate) handshake_timeout: Duration,

    /// Introduce each client to the servers of --to by a PROXY header
    #[arg(long, value_name = "VERSION", env = "ONELOOP_SEND_PROXY")]
    pub(crate) send_proxy: Option<HeaderVersion>,

    /// The permissions of the files of Unix sockets, in octal digits as for chmod: 0660 lets a group
    /// connect [default: as the umask leaves them]
    #[arg(long, value_name = "MODE", env = "ONELOOP_SOCKET_MODE")]
    pub(crate) socket_mode: Option<SocketMode>,

    /// The owner of the files of Unix sockets: USER, USER:GROUP or :GROUP [default: --user and
    /// --group]
    #[arg(long, value_name = "OWNER", env = "ONELOOP_SOCKET_OWNER")]
    pub(crate) socket_owner: Option<Owner>,
}

/// Whether a client may, or must, be introduced by a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyProtocol {
    /// All connections begin without one
    Off,
    /// Those from --proxy-from must begin with one; all others are clients that come directly
    Accept,
    /// As accept, and all others are closed at once
    Require,
}

// A doc comment would become the text of `--help`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PrivilegeOptions {
    /// The user that the process becomes once it listens, by name or number: one that may do less
    /// than root
    #[arg(long, value_name = "USER", env = "ONELOOP_USER")]
    pub(crate) user: Option<String>,

    /// The group that the process becomes once it listens [default: that of --user]
    #[arg(long, value_name = "GROUP", env = "ONELOOP_GROUP")]
    pub(crate) group: Option<String>,
}
