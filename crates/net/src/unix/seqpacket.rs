//! Unix connections that preserve message boundaries: `SOCK_SEQPACKET`.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use super::name::{ToUnixAddr, to_kernel};
use crate::addr::Addr;
use crate::connecting::Unconnected;
use crate::datagram::Datagram;
use crate::listener::{ListenOptions, Listener};
use crate::socket::{Shutdown, Socket};
use crate::stream::{AsSource, HalfClose};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestamp};
use oneloop_core::{Direction, Done, Source, Stream};
use rustix::net::{AddressFamily, SocketType};
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

/// A Unix connection whose messages arrive as they were sent: whole, in order, one at a time.
///
/// All functions take `&self`: one task can receive while another sends. The poll functions wake
/// one task for each direction: the last one that polled.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::UnixSeqpacket;
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let (a, b) = UnixSeqpacket::pair()?;
///     a.send(b"hello").await?;
///     a.send(b"").await?; // an empty message, and not the end
///     drop(a);
///     let mut buf = [0; 16];
///     let mut lengths = Vec::new();
///     while let Some(message) = b.recv(&mut buf).await? {
///         lengths.push(message.bytes);
///     }
///     assert_eq!(lengths, [5, 0]);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixSeqpacket {
    socket: Socket,
}

impl UnixSeqpacket {
    /// Connects to a path or an abstract name. While the listener's backlog is full, this waits:
    /// see [`Connecting`](crate::Connecting). Cancel safe: dropping the future closes the attempt.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`, `EPROTOTYPE` when the path belongs to a
    /// listener of another type.
    pub async fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        // Refuses an IP address before a socket is opened.
        to_kernel(&name)?;
        let socket = Unconnected::new(AddressFamily::UNIX, SocketType::SEQPACKET)?;
        let connecting = socket.connect(&name.to_unix_addr())?;
        UnixSeqpacket::new(connecting.await?)
    }

    /// Both ends of a connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = Socket::pair(SocketType::SEQPACKET)?;
        Ok((UnixSeqpacket::new(a)?, UnixSeqpacket::new(b)?))
    }

    /// Puts an existing connection on the current loop. It must be non-blocking. From now on its
    /// messages carry no credentials (`SO_PASSCRED`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        message::refuse_credentials(&fd)?;
        UnixSeqpacket::new(Socket::from_unix_fd(fd)?)
    }

    /// `recvmsg(2)` returns 0 both for an empty message and at the end. Only a message has a
    /// timestamp (`SO_TIMESTAMP`), so the socket requests one to tell them apart.
    fn new(socket: Socket) -> io::Result<Self> {
        // rustix has no safe function for this option.
        setsockopt(&socket, ReceiveTimestamp, &true)?;
        Ok(UnixSeqpacket { socket })
    }

    /// Receives one message: see [`UnixSeqpacket::poll_recv`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_recv`].
    pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<Option<Datagram>>> {
        self.source()
            .io(Direction::Read, move |cx| self.poll_recv(cx, buf))
    }

    /// Receives one message and at most `fds_max` fds: see [`UnixSeqpacket::poll_recv_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_recv_fds`].
    pub fn recv_fds(
        &self,
        buf: &mut [u8],
        fds_max: usize,
    ) -> impl Future<Output = io::Result<Option<UnixMessage>>> {
        self.source().io(Direction::Read, move |cx| {
            self.poll_recv_fds(cx, buf, fds_max)
        })
    }

    /// Sends one message: see [`UnixSeqpacket::poll_send`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_send`].
    pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.source()
            .io(Direction::Write, move |cx| self.poll_send(cx, buf))
    }

    /// Sends one message and fds: see [`UnixSeqpacket::poll_send_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_send_fds`].
    pub fn send_fds(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> impl Future<Output = io::Result<()>> {
        self.source()
            .io(Direction::Write, move |cx| self.poll_send_fds(cx, buf, fds))
    }

    /// Receives one message, which may be empty. `None` means that the peer sends no more.
    ///
    /// Fds that come with the message are closed: [`UnixSeqpacket::poll_recv_fds`] returns them.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET` when the peer closed before it had read everything. A
    /// message that is longer than the buffer is not an error: see [`Datagram::is_truncated`].
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Option<Datagram>>> {
        let bytes_max = buf.len();
        let message = ready!(self.poll_recv_fds(cx, buf, 0))?;
        let datagram = message.map(|message| Datagram::received(message.sent_bytes, bytes_max));
        Poll::Ready(Ok(datagram))
    }

    /// Receives one message and at most `fds_max` fds, which this process owns from then on. `None`
    /// means that the peer sends no more.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_recv`]. More than `fds_max` fds are not an error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<Option<UnixMessage>>> {
        self.source().poll_io(cx, Direction::Read, |fd| {
            let (message, has_control) = message::receive(fd, buf, fds_max)?;
            let bytes = message.sent_bytes;
            // Without data and without a timestamp, it is the end.
            let is_message = bytes > 0 || has_control;
            Ok(Done::one(is_message.then_some(message)).of_bytes(bytes))
        })
    }

    /// Sends one message, whole or not at all. Waits while the peer has no room for it.
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE` when the peer is gone, `EMSGSIZE` when the message is longer
    /// than the send buffer.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        message::poll_send(self.source(), cx, buf, &[])
    }

    /// Sends one message and fds: see [`UnixSeqpacket::poll_send`]. The caller keeps its fds; the
    /// receiver gets duplicates.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_send`]; `InvalidInput` for more than [`FDS_MAX`](crate::FDS_MAX)
    /// fds; `ETOOMANYREFS` when too many are in flight.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<()>> {
        message::poll_send(self.source(), cx, buf, fds)
    }

    /// Ends one direction or both: see [`Socket::shutdown`].
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// The process at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::peer_credentials(&self.socket)
    }

    /// The name of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.socket.local_addr()
    }

    /// The name of the peer.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.socket.peer_addr()
    }

    /// The fd's registration with the loop.
    pub fn source(&self) -> &Source {
        self.socket.source()
    }
}

impl AsSource for UnixSeqpacket {
    fn source(&self) -> &Source {
        self.socket.source()
    }
}

impl HalfClose for UnixSeqpacket {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl AsFd for UnixSeqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A Unix socket that listens for [`UnixSeqpacket`] connections. Dropping it leaves its file in
/// place: the code that bound it removes it.
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    listener: Listener,
}

impl UnixSeqpacketListener {
    /// Listens on a path or an abstract name.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        UnixSeqpacketListener::bind_with(name, ListenOptions::default())
    }

    /// Listens, with options.
    ///
    /// # Errors
    /// As [`UnixSeqpacketListener::bind`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind_with(name: impl ToUnixAddr, options: ListenOptions) -> io::Result<Self> {
        to_kernel(&name)?;
        let kind = SocketType::SEQPACKET;
        let listener = Listener::bind_type(&name.to_unix_addr(), kind, options)?;
        Ok(UnixSeqpacketListener { listener })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixSeqpacket, Addr)>> {
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
    }

    /// A stream of the connections, in place of a loop around [`accept`](UnixSeqpacketListener::accept). It never
    /// ends; dropping it ends its wait.
    ///
    /// Its errors are those of `accept`: only an fd that cannot listen fails.
    #[doc(alias = "Incoming")]
    pub fn incoming(&self) -> impl Stream<Item = io::Result<(UnixSeqpacket, Addr)>> + Unpin {
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixSeqpacket, Addr)>> {
        self.listener
            .poll_accept_as(cx, |socket, peer| Ok((UnixSeqpacket::new(socket)?, peer)))
    }
}

impl Deref for UnixSeqpacketListener {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.listener
    }
}

impl AsSource for UnixSeqpacketListener {
    fn source(&self) -> &Source {
        self.listener.source()
    }
}
