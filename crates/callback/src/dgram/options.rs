//! What a socket is made with, and what is told of who sends to it.

use crate::abort::AbortSignal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Over which protocol: the first argument of `dgram.createSocket`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `'udp4'`
    Udp4,
    /// `'udp6'`
    Udp6,
}

impl Kind {
    /// All addresses of this machine.
    pub(super) fn unspecified(self) -> IpAddr {
        match self {
            Kind::Udp4 => Ipv4Addr::UNSPECIFIED.into(),
            Kind::Udp6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// This machine.
    pub(super) fn localhost(self) -> IpAddr {
        match self {
            Kind::Udp4 => Ipv4Addr::LOCALHOST.into(),
            Kind::Udp6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// True for an address of its family.
    pub(super) fn takes(self, ip: IpAddr) -> bool {
        ip.is_ipv6() == (self == Kind::Udp6)
    }
}

/// What a socket is made with: `dgram.createSocket(options)`.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// `type`
    pub kind: Kind,
    /// Takes an address that others have taken, too: see
    /// [`UdpOptions::reuse_addr`](oneloop_net::UdpOptions::reuse_addr).
    pub reuse_addr: bool,
    /// An IPv6 socket does not serve IPv4 as well.
    pub ipv6_only: bool,
    /// `recvBufferSize`, in bytes.
    pub recv_buffer_size: Option<usize>,
    /// `sendBufferSize`, in bytes.
    pub send_buffer_size: Option<usize>,
    /// Closes the socket when it is aborted.
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

/// Who sent a datagram: `rinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteInfo {
    /// `rinfo.address` and `rinfo.port`
    pub addr: SocketAddr,
    /// How long the datagram is, in bytes.
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
