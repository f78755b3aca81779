//! Unix datagrams: whole, in order, and never lost, because a sender waits while its receiver is
//! full.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use super::name::{ToUnixAddr, to_kernel};
use crate::addr::Addr;
use crate::datagram::Datagram;
use crate::socket::{self, take_error};
use crate::stream::AsSource;
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use rustix::net::{self, AddressFamily, RecvFlags, SocketType};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

/// The time after which a send to a full receiver first tries again. Each further pause is twice as
/// long.
const RETRY_MIN: Duration = Duration::from_micros(100);
const RETRY_MAX: Duration = Duration::from_millis(10);

/// A Unix datagram socket on a loop.
///
/// A datagram is received whole or, if the buffer is too short, truncated and marked so. All
/// functions take `&self`: one task can receive while another sends. The poll functions wake one
/// task for each direction: the last one that polled. Dropping the socket leaves its file in place:
/// the code that bound it removes it.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::{Addr, UnixDatagram};
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let name = Addr::UnixAbstract(format!("oneloop-doc-{}", std::process::id()).into());
///     let server = UnixDatagram::bind(&name)?;
///     let client = UnixDatagram::unbound()?;
///     client.send_to(b"hello", &name).await?;
///     let mut buf = [0; 16];
///     let (datagram, from) = server.recv_from(&mut buf).await?;
///     assert_eq!((&buf[..datagram.bytes], from), (&b"hello"[..], Addr::UnixUnnamed));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    source: Source,
}

impl UnixDatagram {
    /// Binds a path or an abstract name ([`Addr::UnixAbstract`]).
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier socket left, `EACCES`,
    /// `ENOENT`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let addr = to_kernel(&name)?;
        let fd = socket::open(AddressFamily::UNIX, SocketType::DGRAM)?;
        net::bind(&fd, &addr)?;
        UnixDatagram::new(fd)
    }

    /// A socket without a name: it can send, and receives only as one of a pair.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        let fd = socket::open(AddressFamily::UNIX, SocketType::DGRAM)?;
        UnixDatagram::new(fd)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socket::open_pair(SocketType::DGRAM)?;
        Ok((UnixDatagram::new(a)?, UnixDatagram::new(b)?))
    }

    /// Puts an existing Unix datagram socket on the current loop. It must be non-blocking. From now
    /// on its datagrams carry no credentials (`SO_PASSCRED`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        message::refuse_credentials(&fd)?;
        UnixDatagram::new(fd)
    }

    #[track_caller]
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write); // a fresh socket takes datagrams
        Ok(UnixDatagram { source })
    }

    /// Connects to the only peer: [`UnixDatagram::poll_send`] sends to it, and the kernel refuses
    /// datagrams from other senders. Nothing is sent, so this does not wait. Another call connects
    /// to another peer.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`, `EPERM` if the peer is connected to another
    /// socket.
    pub fn connect(&self, name: impl ToUnixAddr) -> io::Result<()> {
        Ok(net::connect(&self.source, &to_kernel(&name)?)?)
    }

    /// Receives one datagram: see [`UnixDatagram::poll_recv`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`].
    pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<Datagram>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_recv(cx, buf))
    }

    /// Receives one datagram and its sender's name: see [`UnixDatagram::poll_recv`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`].
    pub fn recv_from(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(Datagram, Addr)>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_recv_from(cx, buf))
    }

    /// Receives one datagram and at most `fds_max` fds: see [`UnixDatagram::poll_recv_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv_fds`].
    pub fn recv_fds(
        &self,
        buf: &mut [u8],
        fds_max: usize,
    ) -> impl Future<Output = io::Result<UnixMessage>> {
        self.source.io(Direction::Read, move |cx| {
            self.poll_recv_fds(cx, buf, fds_max)
        })
    }

    /// Sends one datagram to the peer: see [`UnixDatagram::poll_send`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_send`].
    pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.source
            .io(Direction::Write, move |cx| self.poll_send(cx, buf))
    }

    /// Sends one datagram and fds to the peer: see [`UnixDatagram::poll_send_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_send_fds`].
    pub fn send_fds(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> impl Future<Output = io::Result<()>> {
        self.source
            .io(Direction::Write, move |cx| self.poll_send_fds(cx, buf, fds))
    }

    /// Sends one datagram to a name, whole or not at all. While the receiver has no room for it,
    /// this tries again after 100 µs, 200 µs, … up to 10 ms: the kernel announces room only to
    /// connected senders, so [`UnixDatagram::connect`] is the better choice for many datagrams.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `ENOENT` when no socket ever had the name, `ECONNREFUSED` when its
    /// socket is gone, `EMSGSIZE` when the datagram is longer than the send buffer.
    pub async fn send_to(&self, buf: &[u8], name: impl ToUnixAddr) -> io::Result<()> {
        self.send_fds_to(buf, &[], name).await
    }

    /// Sends one datagram and fds to a name: see [`UnixDatagram::send_to`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::send_to`] and [`UnixDatagram::poll_send_fds`].
    pub async fn send_fds_to(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        name: impl ToUnixAddr,
    ) -> io::Result<()> {
        let to = to_kernel(&name)?;
        let mut retry = RETRY_MIN;
        // A failed send makes an OUT edge by itself, because the kernel frees its copy of the
        // datagram. A wait for readiness would spin, so `Done::one(false)` ends the call and a
        // pause follows.
        let send = |cx: &mut Context<'_>| {
            self.source.poll_io(cx, Direction::Write, |fd| {
                match message::send(fd, buf, fds, Some(&to)) {
                    Ok(bytes) => Ok(Done::one(true).of_bytes(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Done::one(false)),
                    Err(error) => Err(error),
                }
            })
        };
        while !self.source.io(Direction::Write, send).await? {
            // The pauses double, so a receiver that rests costs the sender no processor time.
            self.source.handle().sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
        Ok(())
    }

    /// Receives one datagram.
    ///
    /// The kernel closes fds that come with it: [`UnixDatagram::poll_recv_fds`] returns them.
    ///
    /// # Errors
    /// Those of `recv(2)`. A datagram that is longer than the buffer is not an error: see
    /// [`Datagram::is_truncated`].
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Datagram>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (_, sent_bytes) = net::recv(fd, &mut *buf, RecvFlags::TRUNC)?;
            Ok(Done::one(Datagram::received(sent_bytes, buf.len())).of_bytes(sent_bytes))
        })
    }

    /// Receives one datagram and its sender's name: see [`UnixDatagram::poll_recv`].
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(Datagram, Addr)>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (_, sent_bytes, from) = net::recvfrom(fd, &mut *buf, RecvFlags::TRUNC)?;
            let from = from.map_or(Addr::UnixUnnamed, Addr::from_kernel);
            let datagram = Datagram::received(sent_bytes, buf.len());
            Ok(Done::one((datagram, from)).of_bytes(sent_bytes))
        })
    }

    /// Receives one datagram and at most `fds_max` fds, which this process owns from then on.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`]. More than `fds_max` fds are not an error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (message, _) = message::receive(fd, buf, fds_max)?;
            let bytes = message.sent_bytes;
            Ok(Done::one(message).of_bytes(bytes))
        })
    }

    /// Sends one datagram to the peer, whole or not at all. Waits while the peer has no room for
    /// it.
    ///
    /// # Errors
    /// Those of `send(2)`: `ENOTCONN` when the socket is not connected, `ECONNREFUSED` when the
    /// peer is gone, `EMSGSIZE` when the datagram is longer than the send buffer.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        message::poll_send(&self.source, cx, buf, &[])
    }

    /// Sends one datagram and fds to the peer: see [`UnixDatagram::poll_send`]. The caller keeps
    /// its fds; the receiver gets duplicates.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_send`]; `InvalidInput` for more than [`FDS_MAX`](crate::FDS_MAX)
    /// fds; `ETOOMANYREFS` when too many are in flight.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<()>> {
        message::poll_send(&self.source, cx, buf, fds)
    }

    /// The process that made the pair of which this is one end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// `ENOTCONN` for a socket that is not one of a pair.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::peer_credentials(&self.source)
    }

    /// The name of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The name of the peer.
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        Addr::of_peer(&self.source)
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

impl AsSource for UnixDatagram {
    fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
