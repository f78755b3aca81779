//! The settings of a bound UDP socket: the way of its datagrams, multicast groups, buffers, and
//! segments.

use super::socket::UdpSocket;
use nix::errno::Errno as NixErrno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The network interface for multicast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The interface that the system chooses by its routes.
    #[default]
    Any,
    /// The interface that has this address; for IPv4 only.
    Addr(Ipv4Addr),
    /// The interface with this index (`if_nametoindex(3)`).
    Index(u32),
}

impl Interface {
    fn index(self) -> io::Result<u32> {
        match self {
            Interface::Any => Ok(0),
            Interface::Index(index) => Ok(index),
            Interface::Addr(addr) => {
                let problem = format!("IPv6 names an interface by its index, not by {addr}");
                Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
            }
        }
    }

    /// The fields of `struct ip_mreqn` (ip(7)), where an index takes precedence over an address.
    fn addr_and_index(self) -> (Ipv4Addr, u32) {
        match self {
            Interface::Any => (Ipv4Addr::UNSPECIFIED, 0),
            Interface::Addr(addr) => (addr, 0),
            Interface::Index(index) => (Ipv4Addr::UNSPECIFIED, index),
        }
    }
}

/// Options that have different names in IPv4 and IPv6 apply to the socket's family.
impl UdpSocket {
    /// Sets whether datagrams may go to a broadcast address (`SO_BROADCAST`). By default they may
    /// not.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_broadcast(self, broadcast)?)
    }

    /// Sets the maximum number of routers that forward a datagram (`IP_TTL`, `IPV6_UNICAST_HOPS`):
    /// 1 to 255.
    ///
    /// # Errors
    /// `EINVAL` for any other number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        if self.is_v6 {
            // rustix takes a u8 here, and the kernel would return EINVAL for a larger number.
            let hops = u8::try_from(ttl).map_err(|_| Errno::INVAL)?;
            return Ok(sockopt::set_ipv6_unicast_hops(self, Some(hops))?);
        }
        Ok(sockopt::set_ip_ttl(self, ttl)?)
    }

    /// Sets the type of service (`IP_TOS`, `IPV6_TCLASS`): DSCP in the upper six bits, ECN in the
    /// lower two.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        if self.is_v6 {
            return Ok(sockopt::set_ipv6_tclass(self, tos.into())?);
        }
        Ok(sockopt::set_ip_tos(self, tos)?)
    }

    /// Joins a multicast group, whose datagrams arrive from now on. The socket has to be bound to
    /// their port.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EADDRINUSE` if the socket is a member already, `ENODEV` if the
    /// interface does not exist or no route leads to the group, `EINVAL` for an address that is not
    /// a multicast group.
    pub fn join_multicast(&self, group: IpAddr, on: Interface) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                let (addr, index) = on.addr_and_index();
                sockopt::set_ip_add_membership_with_ifindex(self, &group, &addr, index)?;
            }
            IpAddr::V6(group) => sockopt::set_ipv6_add_membership(self, &group, on.index()?)?,
        }
        Ok(())
    }

    /// Leaves a group that the socket has joined on this interface.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the socket is not a member.
    pub fn leave_multicast(&self, group: IpAddr, on: Interface) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                let (addr, index) = on.addr_and_index();
                sockopt::set_ip_drop_membership_with_ifindex(self, &group, &addr, index)?;
            }
            IpAddr::V6(group) => sockopt::set_ipv6_drop_membership(self, &group, on.index()?)?,
        }
        Ok(())
    }

    /// Sets the interface through which datagrams to a group leave.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` or `ENODEV` if the interface does not exist.
    pub fn set_multicast_interface(&self, interface: Interface) -> io::Result<()> {
        if self.is_v6 {
            return Ok(sockopt::set_ipv6_multicast_if(self, interface.index()?)?);
        }
        let (addr, index) = interface.addr_and_index();
        let group = Ipv4Addr::UNSPECIFIED; // ip(7): IP_MULTICAST_IF ignores it
        sockopt::set_ip_multicast_if_with_ifindex(self, &group, &addr, index)?;
        Ok(())
    }

    /// Sets whether sockets of this machine receive the datagrams that this socket sends to a
    /// group. By default they do. On the loopback interface they do in any case.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_loop(&self, loops_back: bool) -> io::Result<()> {
        if self.is_v6 {
            sockopt::set_ipv6_multicast_loop(self, loops_back)?;
        } else {
            sockopt::set_ip_multicast_loop(self, loops_back)?;
        }
        Ok(())
    }

    /// Sets the maximum number of hops of a datagram to a group (`IP_MULTICAST_TTL`,
    /// `IPV6_MULTICAST_HOPS`): 0 to 255. The default is 1, which is the local network.
    ///
    /// # Errors
    /// `EINVAL` for any other number.
    pub fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        if self.is_v6 {
            sockopt::set_ipv6_multicast_hops(self, ttl)?;
        } else {
            sockopt::set_ip_multicast_ttl(self, ttl)?;
        }
        Ok(())
    }

    /// Sets the size of the receive buffer in bytes; datagrams beyond it are lost. The kernel caps
    /// the value at `net.core.rmem_max`, and doubles it for its own bookkeeping (socket(7):
    /// `SO_RCVBUF`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_recv_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(self, bytes)?)
    }

    /// The size of the receive buffer in bytes, as the kernel counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn recv_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self)?)
    }

    /// Sets the size of the send buffer in bytes: see [`UdpSocket::set_recv_buffer_bytes`].
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(self, bytes)?)
    }

    /// The size of the send buffer in bytes, as the kernel counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_send_buffer_size(self)?)
    }

    /// Makes the kernel split each sent buffer into datagrams of `segment_bytes`, the last of which
    /// may be shorter (udp(7): `UDP_SEGMENT`). One send makes up to 64 datagrams, also in a batch.
    /// With `None`, the default, each send is one datagram.
    ///
    /// # Errors
    /// `Unsupported` before Linux 4.18; [`UdpSocket::send_batch`] works without it. Later sends
    /// fail with `EINVAL` or `EMSGSIZE` for too many datagrams, or for one that is too large for
    /// its interface.
    pub fn set_gso(&self, segment_bytes: Option<u16>) -> io::Result<()> {
        let bytes = segment_bytes.map_or(0, i32::from);
        setsockopt(self, UdpGsoSegment, &bytes).map_err(|errno| {
            let instead = "send datagrams by themselves, or in batches";
            unless_supported(errno, "GSO (Linux 4.18)", instead)
        })
    }

    /// Allows the kernel to join datagrams of one sender that have the same size (udp(7):
    /// `UDP_GRO`); [`Datagram::segments`](crate::Datagram::segments) separates them. Receive
    /// buffers should have 64 KiB, the maximum.
    ///
    /// # Errors
    /// `Unsupported` before Linux 5.0; [`UdpSocket::recv_batch`] works without it.
    pub fn set_gro(&self, gro: bool) -> io::Result<()> {
        setsockopt(self, UdpGroSegment, &gro).map_err(|errno| {
            let instead = "receive datagrams by themselves, or in batches";
            unless_supported(errno, "GRO (Linux 5.0)", instead)
        })?;
        // Only after the kernel has accepted it: each receive then requests the segment size.
        self.gro.set(gro);
        Ok(())
    }
}

fn unless_supported(errno: NixErrno, what: &str, instead: &str) -> io::Error {
    match errno {
        // setsockopt(2): ENOPROTOOPT for an unknown option.
        NixErrno::ENOPROTOOPT | NixErrno::EOPNOTSUPP => {
            let problem = format!("this kernel has no UDP {what}: {instead}");
            io::Error::new(io::ErrorKind::Unsupported, problem)
        }
        errno => errno.into(),
    }
}
