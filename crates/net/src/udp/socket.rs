//! The UDP socket: binding, connecting, and single datagrams.

use super::offload;
use super::options::UdpOptions;
use crate::addr::Addr;
use crate::buffer::Chunk;
use crate::datagram::Datagram;
use crate::socket::{self, take_error};
use crate::stream::AsSource;
use crate::target::{ToTarget, bind_name, bind_now};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source, Stream};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketType};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

/// A UDP socket on a loop.
///
/// All functions take `&self`: one task can receive while another sends. The poll functions wake
/// one task for each direction: the last one that polled. A datagram that arrives while the
/// socket's receive buffer is full is lost (udp(7)).
///
/// An ICMP error, such as `ECONNREFUSED` from a port on which no socket listens, reaches only a
/// *connected* socket. The first operation after it returns the error, and the socket stays usable.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::UdpSocket;
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.send_to(b"hello, world", server.local_addr()?).await?;
///     let mut buf = [0; 5];
///     let (datagram, from) = server.recv_from(&mut buf).await?;
///     assert_eq!((&buf, from), (b"hello", client.local_addr()?));
///     assert!(datagram.is_truncated());
///     assert_eq!((datagram.bytes, datagram.sent_bytes), (5, 12));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
#[doc(alias("uv_udp_t", "create_datagram_endpoint"))]
pub struct UdpSocket {
    pub(super) source: Source,
    pub(super) is_v6: bool,
    /// The kernel may join datagrams (GRO), so each receive requests their segment size.
    pub(super) gro: Cell<bool>,
}

impl UdpSocket {
    /// Binds an address, or the first of several that can be bound. With port 0, the kernel chooses
    /// a port.
    ///
    /// # Errors
    /// Those of `socket(2)` and `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EMFILE`;
    /// `InvalidInput` for a name: see [`UdpSocket::bind_name`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        UdpSocket::bind_with(target, UdpOptions::default())
    }

    /// Binds an address, with options.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        bind_now(target, |addr| UdpSocket::bind_addr(addr, options))
    }

    /// Binds the first address of a name that can be bound. The name is looked up on another
    /// thread. Cancel safe.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`], and those of a failed look-up.
    pub async fn bind_name(target: impl ToTarget) -> io::Result<Self> {
        UdpSocket::bind_name_with(target, UdpOptions::default()).await
    }

    /// Binds the first address of a name that can be bound, with options. Cancel safe.
    ///
    /// # Errors
    /// As [`UdpSocket::bind_name`].
    pub async fn bind_name_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        bind_name(target, |addr| UdpSocket::bind_addr(addr, options)).await
    }

    fn bind_addr(addr: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let family = Addr::Inet(addr).family();
        let fd = socket::open(family, SocketType::DGRAM)?;
        // Before bind(2), which reads SO_REUSEADDR, SO_REUSEPORT and IPV6_V6ONLY.
        options.apply(&fd, addr.is_ipv6())?;
        net::bind(&fd, &addr)?;
        UdpSocket::new(fd, addr.is_ipv6(), false)
    }

    /// Puts an existing UDP socket on the current loop, with the options that it has. It must be
    /// non-blocking.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let addr = Addr::of(&fd)?.into_inet()?;
        // With GRO on, a receive that does not request the segment size could not separate the
        // datagrams.
        let gro = offload::has_gro(&fd);
        UdpSocket::new(fd, addr.is_ipv6(), gro)
    }

    #[track_caller]
    fn new(fd: OwnedFd, is_v6: bool, gro: bool) -> io::Result<Self> {
        // Rule 6 is about streams: epoll reports no HUP for an unconnected UDP socket.
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write); // a fresh socket takes datagrams
        Ok(UdpSocket {
            source,
            is_v6,
            gro: Cell::new(gro),
        })
    }

    /// Connects to the only peer: [`UdpSocket::send`] sends to it, and the kernel drops datagrams
    /// from other senders. Nothing is sent, so this does not wait. Another call connects to another
    /// peer.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENETUNREACH`, `EAFNOSUPPORT`.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        Ok(net::connect(&self.source, &addr)?)
    }

    /// Removes the peer that [`UdpSocket::connect`] set. The socket also loses a port that the
    /// kernel chose; the next send gets another one.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub fn disconnect(&self) -> io::Result<()> {
        Ok(net::connect_unspec(&self.source)?)
    }

    /// Receives one datagram and its sender's address: see [`UdpSocket::poll_recv_from`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_recv_from`].
    #[inline]
    pub fn recv_from(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(Datagram, SocketAddr)>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_recv_from(cx, buf))
    }

    /// A stream of the datagrams and their senders. It never ends; dropping it ends its wait.
    ///
    /// Each datagram comes in a pooled buffer, so none is truncated, nothing is allocated, and no
    /// buffer is held while the stream waits. With GRO on, an item may hold several datagrams, whose
    /// size only [`recv_from`](UdpSocket::recv_from) returns. Its errors are those of `recv_from`.
    ///
    /// ```
    /// use futures_util::StreamExt as _;
    /// use oneloop::aio::{UdpSocket, block_on};
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    ///     for text in ["tea", "toast"] {
    ///         a.send_to(text.as_bytes(), b.local_addr()?).await?;
    ///     }
    ///     let mut datagrams = b.datagrams();
    ///     let (tea, from) = datagrams.next().await.unwrap()?;
    ///     assert_eq!((&*tea, from), (&b"tea"[..], a.local_addr()?));
    ///     assert_eq!(&*datagrams.next().await.unwrap()?.0, b"toast");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("UdpFramed", "BytesCodec"))]
    pub fn datagrams(&self) -> impl Stream<Item = io::Result<(Chunk, SocketAddr)>> + Unpin {
        self.source.io(Direction::Read, |cx| {
            Chunk::poll_fill(|buf| {
                let received = self.poll_recv_from(cx, buf);
                received.map_ok(|(datagram, from)| (datagram.bytes, from))
            })
        })
    }

    /// Receives one datagram: see [`UdpSocket::poll_recv`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_recv_from`].
    #[inline]
    pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<Datagram>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_recv(cx, buf))
    }

    /// Sends one datagram to an address, whole or not at all: see [`UdpSocket::poll_send_to`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_send_to`].
    #[inline]
    pub fn send_to(&self, buf: &[u8], addr: SocketAddr) -> impl Future<Output = io::Result<()>> {
        self.source
            .io(Direction::Write, move |cx| self.poll_send_to(cx, buf, addr))
    }

    /// Sends one datagram to the peer, whole or not at all: see [`UdpSocket::poll_send`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_send`].
    #[inline]
    pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.source
            .io(Direction::Write, move |cx| self.poll_send(cx, buf))
    }

    /// Receives one datagram and its sender's address.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`: `ECONNREFUSED` on a connected socket. A datagram that is longer than
    /// the buffer is not an error: see [`Datagram::is_truncated`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(Datagram, SocketAddr)>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            // recvmsg(2) costs more than recvfrom(2), so it is called only for the segment size.
            let (datagram, from) = if self.gro.get() {
                offload::receive(fd, buf, true)?
            } else {
                // recv(2): MSG_TRUNC returns the real length of a datagram that is longer than the
                // buffer.
                let (_, sent_bytes, from) = net::recvfrom(fd, &mut *buf, RecvFlags::TRUNC)?;
                let from = from.map_or(Addr::UnixUnnamed, Addr::from_kernel);
                let datagram = Datagram::received(sent_bytes, buf.len());
                (datagram, from.into_inet()?)
            };
            // Never drained by a short count: each datagram is short, and more may follow.
            Ok(Done::one((datagram, from)).of_bytes(datagram.sent_bytes))
        })
    }

    /// Receives one datagram, for a connected socket, which knows the sender.
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
    /// Those of `sendto(2)`: `EMSGSIZE` for more bytes than a datagram can have, `ENETUNREACH`,
    /// `EACCES` for a broadcast that [`UdpSocket::set_broadcast`] did not allow.
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
    /// earlier datagram found no socket, `EMSGSIZE` for more bytes than a datagram can have.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        self.source.poll_io(cx, Direction::Write, |fd| {
            let bytes = net::send(fd, buf, SendFlags::NOSIGNAL)?;
            Ok(Done::one(()).of_bytes(bytes))
        })
    }

    /// The address of this end, with the port that the kernel chose in place of 0.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Addr::of(&self.source)?.into_inet()
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        // rustix returns `None` for an empty address, which an IP socket never has.
        let peer = net::getpeername(&self.source)?.ok_or(Errno::NOTCONN)?;
        Addr::from_kernel(peer).into_inet()
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`). No operation returns it
    /// afterward.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        take_error(&self.source)
    }

    /// The fd's registration with the loop.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl AsSource for UdpSocket {
    fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
