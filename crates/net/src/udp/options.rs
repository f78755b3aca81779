//! Options for binding a UDP socket.

use rustix::net::sockopt;
use std::io;
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
    /// Datagrams may go to a broadcast address: see
    /// [`UdpSocket::set_broadcast`](crate::UdpSocket::set_broadcast).
    pub broadcast: bool,
    /// See [`UdpSocket::set_recv_buffer_bytes`](crate::UdpSocket::set_recv_buffer_bytes). With
    /// `None` the system's default applies.
    pub recv_buffer_bytes: Option<usize>,
    /// See [`UdpSocket::set_send_buffer_bytes`](crate::UdpSocket::set_send_buffer_bytes). With
    /// `None` the system's default applies.
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
