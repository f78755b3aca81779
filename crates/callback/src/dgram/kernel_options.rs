//! Options of a UDP socket in the kernel: broadcast, hops, groups, buffers.

use super::socket::Socket;
use crate::error::Error;
use oneloop_net::{Interface, UdpSocket};
use std::io;
use std::net::IpAddr;

impl Socket {
    /// Sets whether the socket may send to broadcast addresses.
    ///
    /// # Errors
    /// `EBADF` before the socket is bound, `ERR_SOCKET_DGRAM_NOT_RUNNING` once it is closed; the
    /// other options fail likewise.
    pub fn set_broadcast(&self, broadcast: bool) -> Result<(), Error> {
        self.with_socket("setBroadcast", |socket| socket.set_broadcast(broadcast))
    }

    /// Sets the maximum number of routers that a datagram passes: 1 to 255.
    ///
    /// # Errors
    /// `EINVAL` for another number; those of [`Socket::set_broadcast`].
    pub fn set_ttl(&self, ttl: u32) -> Result<(), Error> {
        self.with_socket("setTTL", |socket| socket.set_ttl(ttl))
    }

    /// Sets the maximum number of routers that a datagram to a group passes: 0 to 255.
    ///
    /// # Errors
    /// `EINVAL` for another number; those of [`Socket::set_broadcast`].
    pub fn set_multicast_ttl(&self, ttl: u32) -> Result<(), Error> {
        self.with_socket("setMulticastTTL", |socket| socket.set_multicast_ttl(ttl))
    }

    /// Sets whether this machine receives what the socket sends to a group; it does by default.
    ///
    /// # Errors
    /// Those of [`Socket::set_broadcast`].
    pub fn set_multicast_loopback(&self, loopback: bool) -> Result<(), Error> {
        self.with_socket("setMulticastLoopback", |socket| {
            socket.set_multicast_loop(loopback)
        })
    }

    /// Sets the interface through which datagrams to a group leave.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for an interface that does not exist; those of [`Socket::set_broadcast`].
    pub fn set_multicast_interface(&self, interface: Interface) -> Result<(), Error> {
        self.with_socket("setMulticastInterface", |socket| {
            socket.set_multicast_interface(interface)
        })
    }

    /// Joins a group: the socket receives what is sent to it from now on. Unlike in Node, the
    /// socket must be bound.
    ///
    /// # Errors
    /// `EADDRINUSE` if it is a member already, `EINVAL` for an address that is not a group's; those
    /// of [`Socket::set_broadcast`].
    pub fn add_membership(
        &self,
        group: impl Into<IpAddr>,
        interface: Interface,
    ) -> Result<(), Error> {
        // libuv would bind an unbound socket here (`uv__udp_maybe_deferred_bind`).
        let group = group.into();
        self.with_socket("addMembership", |socket| {
            socket.join_multicast(group, interface)
        })
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it is not a member; those of [`Socket::set_broadcast`].
    pub fn drop_membership(
        &self,
        group: impl Into<IpAddr>,
        interface: Interface,
    ) -> Result<(), Error> {
        let group = group.into();
        self.with_socket("dropMembership", |socket| {
            socket.leave_multicast(group, interface)
        })
    }

    /// Returns the size of the receive buffer in bytes: `getRecvBufferSize`.
    ///
    /// # Errors
    /// `ERR_SOCKET_BUFFER_SIZE` before it is bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn recv_buffer_size(&self) -> Result<usize, Error> {
        self.with_buffer("uv_recv_buffer_size", UdpSocket::recv_buffer_bytes)
    }

    /// Sets the size of the receive buffer in bytes; the kernel doubles it (socket(7)).
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<(), Error> {
        let set = |socket: &UdpSocket| socket.set_recv_buffer_bytes(bytes);
        self.with_buffer("uv_recv_buffer_size", set)
    }

    /// Returns the size of the send buffer in bytes: `getSendBufferSize`.
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn send_buffer_size(&self) -> Result<usize, Error> {
        self.with_buffer("uv_send_buffer_size", UdpSocket::send_buffer_bytes)
    }

    /// Sets the size of the send buffer in bytes; the kernel doubles it (socket(7)).
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<(), Error> {
        let set = |socket: &UdpSocket| socket.set_send_buffer_bytes(bytes);
        self.with_buffer("uv_send_buffer_size", set)
    }

    fn with_buffer<T>(
        &self,
        call: &'static str,
        f: impl FnOnce(&UdpSocket) -> io::Result<T>,
    ) -> Result<T, Error> {
        // Node's error names libuv's function instead of the system call.
        self.try_socket(f, |error| Error::buffer_size(call, error))
    }
}
