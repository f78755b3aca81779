//! What can be set on a UDP socket: at its birth, where datagrams may go, and groups to hear.

use super::UdpSocket;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

/// What a UDP socket is bound with.
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpOptions {
    /// Others may take the same address, if they say so as well (`SO_REUSEADDR`). A datagram goes
    /// to the last one of them, one for a multicast group to all.
    pub reuse_addr: bool,
    /// Others of this user may take the same address, and the kernel spreads datagrams over them by
    /// their senders (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// An IPv6 socket does not serve IPv4 as well (`IPV6_V6ONLY`); `None` leaves it to the system.
    pub v6_only: Option<bool>,
    /// Datagrams may go to a broadcast address: see [`UdpSocket::set_broadcast`].
    pub broadcast: bool,
    /// See [`UdpSocket::set_recv_buffer_bytes`]; `None` leaves it to the system.
    pub recv_buffer_bytes: Option<usize>,
    /// See [`UdpSocket::set_send_buffer_bytes`]; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
}

impl UdpOptions {
    /// Sets what is not the default.
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

/// Through which interface multicast goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The one that the system chooses, by its routes.
    #[default]
    Any,
    /// The one that has this address; for IPv4 only.
    Addr(Ipv4Addr),
    /// The one with this index, as `if_nametoindex(3)` gives it.
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

    /// As `struct ip_mreqn` has it: an index goes before an address.
    fn addr_and_index(self) -> (Ipv4Addr, u32) {
        match self {
            Interface::Any => (Ipv4Addr::UNSPECIFIED, 0),
            Interface::Addr(addr) => (addr, 0),
            Interface::Index(index) => (Ipv4Addr::UNSPECIFIED, index),
        }
    }
}

/// Options that IPv4 and IPv6 have by different names are those of the socket's own family.
impl UdpSocket {
    /// Says whether datagrams may go to a broadcast address (`SO_BROADCAST`); at first they may
    /// not.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_broadcast(self, broadcast)?)
    }

    /// Over how many routers a datagram goes at most (`IP_TTL`, `IPV6_UNICAST_HOPS`): 1 to 255.
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

    /// The kind of service that is asked of the network (`IP_TOS`, `IPV6_TCLASS`): DSCP in the
    /// upper six bits, ECN in the lower two.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        if self.is_v6 {
            return Ok(sockopt::set_ipv6_tclass(self, tos.into())?);
        }
        Ok(sockopt::set_ip_tos(self, tos)?)
    }

    /// Hears what is sent to a group from now on. The socket has to be bound to the group's port.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EADDRINUSE` if it hears the group already, `ENODEV` for an
    /// interface that is not there or if no route leads to the group, `EINVAL` for an address that
    /// is no group's.
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

    /// Hears a group no longer, which it joined on that interface.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it does not hear it.
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

    /// Through which interface datagrams go to a group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` or `ENODEV` for one that is not there.
    pub fn set_multicast_interface(&self, interface: Interface) -> io::Result<()> {
        if self.is_v6 {
            return Ok(sockopt::set_ipv6_multicast_if(self, interface.index()?)?);
        }
        let (addr, index) = interface.addr_and_index();
        let group = Ipv4Addr::UNSPECIFIED; // of no meaning here
        sockopt::set_ip_multicast_if_with_ifindex(self, &group, &addr, index)?;
        Ok(())
    }

    /// Says whether this machine, too, hears what is sent to a group from here; it does by default.
    /// What goes through the loopback interface is heard in any case.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_multicast_loop(&self, is_heard_here: bool) -> io::Result<()> {
        if self.is_v6 {
            sockopt::set_ipv6_multicast_loop(self, is_heard_here)?;
        } else {
            sockopt::set_ip_multicast_loop(self, is_heard_here)?;
        }
        Ok(())
    }

    /// Over how many routers a datagram goes to a group at most (`IP_MULTICAST_TTL`,
    /// `IPV6_MULTICAST_HOPS`): 0 to 255, and at first 1, which is this network.
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

    /// How many bytes may wait to be received; datagrams beyond it are lost. The kernel doubles
    /// what it is given, for its own needs, and keeps it below `net.core.rmem_max`.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_recv_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(self, bytes)?)
    }

    /// How many bytes may wait to be received, as the kernel counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn recv_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self)?)
    }

    /// How many bytes may wait to be sent: see [`UdpSocket::set_recv_buffer_bytes`].
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(self, bytes)?)
    }

    /// How many bytes may wait to be sent, as the kernel counts them.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_send_buffer_size(self)?)
    }
}
