//! UDP: datagrams, each of which moves whole or not at all.

mod batch;
mod offload;
mod options;

pub use batch::{Outgoing, Received, RecvBatch};
pub use options::{Interface, UdpOptions};

use crate::addr::Addr;
use crate::datagram::Datagram;
use crate::socket::{self, FLAGS};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketType};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

/// A UDP socket on a loop.
///
/// The poll functions keep the waker of one task for each direction: the last that asked. A datagram
/// that comes while the socket's kernel buffer is full is lost, as UDP has it.
///
/// An ICMP error, such as `ECONNREFUSED` from a port where nobody listens, reaches a *connected*
/// socket only. One operation tells it, whichever comes first, and the socket goes on as before.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_net::UdpSocket;
/// use std::future::poll_fn;
/// # fn main() -> std::io::Result<()> {
/// let mut event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let server = UdpSocket::bind(&handle, "127.0.0.1:0".parse().unwrap())?;
/// let client = UdpSocket::bind(&handle, "127.0.0.1:0".parse().unwrap())?;
/// let server_addr = server.local_addr()?;
/// event_loop.block_on(async {
///     poll_fn(|cx| client.poll_send_to(cx, b"hello, world", server_addr)).await?;
///     let mut buf = [0; 5];
///     let (datagram, from) = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await?;
///     assert_eq!((&buf, from), (b"hello", client.local_addr()?));
///     assert!(datagram.is_truncated());
///     assert_eq!((datagram.bytes, datagram.sent_bytes), (5, 12));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    source: Source,
    is_v6: bool,
    /// The kernel joins datagrams, and each receive has to ask how.
    gro: Cell<bool>,
}

impl UdpSocket {
    /// Takes an address; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// Those of `socket(2)` and `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EMFILE`.
    pub fn bind(handle: &Handle, addr: SocketAddr) -> io::Result<Self> {
        UdpSocket::bind_with(handle, addr, UdpOptions::default())
    }

    /// Takes an address, with options.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    pub fn bind_with(handle: &Handle, addr: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let family = Addr::Inet(addr).family();
        let fd = net::socket_with(family, SocketType::DGRAM, FLAGS, None)?;
        options.apply(&fd, addr.is_ipv6())?;
        net::bind(&fd, &addr)?;
        UdpSocket::new(handle, fd, addr.is_ipv6(), false)
    }

    /// A UDP socket with options of its own. It must be non-blocking.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`; the fd is closed then.
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let addr = Addr::of(&fd)?.into_inet()?;
        let gro = offload::has_gro(&fd);
        UdpSocket::new(handle, fd, addr.is_ipv6(), gro)
    }

    fn new(handle: &Handle, fd: OwnedFd, is_v6: bool, gro: bool) -> io::Result<Self> {
        // Rule 6 is about streams: epoll does not take an unconnected UDP socket for hung up.
        let source = Source::new(handle, fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write); // a fresh socket takes datagrams
        Ok(UdpSocket {
            source,
            is_v6,
            gro: Cell::new(gro),
        })
    }

    /// Names the only peer: from now on [`UdpSocket::poll_send`] sends to it, and what others send is
    /// not received. Nothing is sent, so this does not wait; connecting again names another peer.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENETUNREACH`, `EAFNOSUPPORT`.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        Ok(net::connect(&self.source, &addr)?)
    }

    /// Takes the peer back that [`UdpSocket::connect`] named. A port that the kernel chose goes with it,
    /// and the next send has another one.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub fn disconnect(&self) -> io::Result<()> {
        Ok(net::connect_unspec(&self.source)?)
    }

    /// Receives one datagram, and says who sent it.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`: `ECONNREFUSED` on a connected socket. A datagram that is longer than
    /// the buffer is no error: see [`Datagram::is_truncated`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(Datagram, SocketAddr)>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (datagram, from) = if self.gro.get() {
                offload::receive(fd, buf, true)?
            } else {
                let (_, sent_bytes, from) = net::recvfrom(fd, &mut *buf, RecvFlags::TRUNC)?;
                let from = from.map_or(Addr::UnixUnnamed, Addr::from_kernel);
                let datagram = Datagram::received(sent_bytes, buf.len());
                (datagram, from.into_inet()?)
            };
            Ok(Done::one((datagram, from)).of_bytes(datagram.sent_bytes))
        })
    }

    /// Receives one datagram: [`UdpSocket::poll_recv_from`] for a connected socket.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_recv_from`].
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Datagram>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let datagram = if self.gro.get() {
                offload::receive(fd, buf, true)?.0
            } else {
                let (_, sent_bytes) = net::recv(fd, &mut *buf, RecvFlags::TRUNC)?;
                Datagram::received(sent_bytes, buf.len())
            };
            Ok(Done::one(datagram).of_bytes(datagram.sent_bytes))
        })
    }

    /// Sends one datagram to an address, whole or not at all.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `EMSGSIZE` when it is too long for a datagram, `ENETUNREACH`, `EACCES`
    /// for a broadcast that [`UdpSocket::set_broadcast`] did not allow.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |fd| {
            let bytes = net::sendto(fd, buf, SendFlags::NOSIGNAL, &addr)?;
            Ok(Done::one(()).of_bytes(bytes))
        })
    }

    /// Sends one datagram to the peer, whole or not at all.
    ///
    /// # Errors
    /// Those of `send(2)`: `EDESTADDRREQ` when the socket is not connected, `ECONNREFUSED` when an
    /// earlier datagram found nobody, `EMSGSIZE` when it is too long.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |fd| {
            let bytes = net::send(fd, buf, SendFlags::NOSIGNAL)?;
            Ok(Done::one(()).of_bytes(bytes))
        })
    }

    /// This end's address: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Addr::of(&self.source)?.into_inet()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let peer = net::getpeername(&self.source)?.ok_or(Errno::NOTCONN)?;
        Addr::from_kernel(peer).into_inet()
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`), which no operation tells then.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        socket::take_error(&self.source)
    }

    /// The fd's registration, for what is not here.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
