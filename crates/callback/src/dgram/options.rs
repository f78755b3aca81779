//! The options of a socket, and the sender of a datagram.

use crate::abort::AbortSignal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The protocol: the first argument of `dgram.createSocket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `'udp4'`
    Udp4,
    /// `'udp6'`
    Udp6,
}

impl Kind {
    /// The address that stands for all addresses of this machine.
    pub(super) fn unspecified(self) -> IpAddr {
        // Node's default host of `bind`.
        match self {
            Kind::Udp4 => Ipv4Addr::UNSPECIFIED.into(),
            Kind::Udp6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The loopback address.
    pub(super) fn localhost(self) -> IpAddr {
        // Node's default host of `send` and `connect`.
        match self {
            Kind::Udp4 => Ipv4Addr::LOCALHOST.into(),
            Kind::Udp6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// True for an address of this protocol's family.
    pub(super) fn takes(self, ip: IpAddr) -> bool {
        ip.is_ipv6() == (self == Kind::Udp6)
    }
}

/// How to make a socket: `dgram.createSocket(options)`.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// The protocol: `type`.
    pub kind: Kind,
    /// Binds to an address even if other sockets are bound to it: see
    /// [`UdpOptions::reuse_addr`](oneloop_net::UdpOptions::reuse_addr).
    pub reuse_addr: bool,
    /// Keeps an IPv6 socket from receiving IPv4 datagrams as well.
    pub ipv6_only: bool,
    /// The size of the kernel's receive buffer in bytes: `recvBufferSize`.
    pub recv_buffer_size: Option<usize>,
    /// The size of the kernel's send buffer in bytes: `sendBufferSize`.
    pub send_buffer_size: Option<usize>,
    /// Closes the socket when the signal is aborted.
    pub signal: Option<AbortSignal>,
}

impl From<Kind> for SocketOptions {
    fn from(kind: Kind) -> Self {
        SocketOptions {
            kind,
            reuse_addr: false,
            ipv6_only: false,
            recv_buffer_size: None,
            send_buffer_size: None,
            signal: None,
        }
    }
}

/// The sender and the size of a datagram: `rinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteInfo {
    /// The sender's address: `rinfo.address` and `rinfo.port`.
    pub addr: SocketAddr,
    /// The size of the datagram in bytes.
    pub size: usize,
}

impl RemoteInfo {
    /// `rinfo.family`: `IPv4` or `IPv6`.
    pub fn family(&self) -> &'static str {
        match self.addr {
            SocketAddr::V4(_) => "IPv4",
            SocketAddr::V6(_) => "IPv6",
        }
    }
}
