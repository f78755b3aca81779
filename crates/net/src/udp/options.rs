//! The options of UDP sockets: for binding, for the way of datagrams, and multicast groups.

use super::UdpSocket;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

/// Options for binding a UDP socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpOptions {
    /// Other sockets with this option may bind the same address (`SO_REUSEADDR`). A datagram goes
    /// to the one that bound it last; a datagram to a multicast group goes to all.
    pub reuse_addr: bool,
    /// Other sockets of this user with this option may bind the same address, and the kernel
    /// distributes datagrams among them by sender (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// An IPv6 socket does not receive IPv4 datagrams (`IPV6_V6ONLY`). With `None` the system's
    /// default applies.
    pub v6_only: Option<bool>,
    /// Datagrams may go to a broadcast address: see [`UdpSocket::set_broadcast`].
    pub broadcast: bool,
    /// See [`UdpSocket::set_recv_buffer_bytes`]. With `None` the system's default applies.
    pub recv_buffer_bytes: Option<usize>,
    /// See [`UdpSocket::set_send_buffer_bytes`]. With `None` the system's default applies.
    pub send_buffer_bytes: Option<usize>,
}

impl UdpOptions {
    /// Sets the options that differ from the default.
    pub(super) fn apply(&self, fd: impl AsFd, is_v6: bool) -> io::Result<()> {
        let fd = fd.as_fd();
        if self.reuse_addr {
            sockopt::set_socket_reuseaddr(fd, true)?;
        }
        if self.reuse_port {
            sockopt::set_socket_reuseport(fd, true)?;
        }
        if let Some(v6_only) = self.v6_only.filter(|_| is_v6) {
            sockopt::set_ipv6_v6only(fd, v6_only)?;
        }
        if self.broadcast {
            sockopt::set_socket_broadcast(fd, true)?;
        }
        if let Some(bytes) = self.recv_buffer_bytes {
            sockopt::set_socket_recv_buffer_size(fd, bytes)?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            sockopt::set_socket_send_buffer_size(fd, bytes)?;
        }
        Ok(())
    }
}

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
    /// `IPV6_MULTICAST_HOPS`): 0 to
    /// 255. The default is 1, which is the local network.
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
}
