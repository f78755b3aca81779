//! Unix connections that keep the bounds of messages: `SOCK_SEQPACKET`.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use super::name::to_kernel;
use crate::addr::Addr;
use crate::connecting::Unconnected;
use crate::datagram::Datagram;
use crate::listener::{ListenOptions, Listener};
use crate::socket::{FLAGS, Shutdown, Socket};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestamp};
use oneloop_core::{Direction, Done, Handle, Source};
use rustix::net::{AddressFamily, SocketType, socketpair, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

/// A Unix connection whose messages arrive as they were sent: whole, in order, one at a time.
///
/// The poll functions keep the waker of one task for each direction: the last that asked.
///
/// ```
/// use oneloop_net::UnixSeqpacket;
/// use std::future::poll_fn;
/// # fn main() -> std::io::Result<()> {
/// let mut event_loop = oneloop_core::EventLoop::new()?;
/// let (a, b) = UnixSeqpacket::pair(&event_loop.handle())?;
/// event_loop.block_on(async {
///     poll_fn(|cx| a.poll_send(cx, b"hello")).await?;
///     poll_fn(|cx| a.poll_send(cx, b"")).await?;
///     drop(a);
///     let mut buf = [0; 16];
///     let hello = poll_fn(|cx| b.poll_recv(cx, &mut buf)).await?;
///     assert_eq!(hello.map(|message| message.bytes), Some(5));
///     let empty = poll_fn(|cx| b.poll_recv(cx, &mut buf)).await?;
///     assert_eq!(empty.map(|message| message.bytes), Some(0));
///     assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut buf)).await?, None);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixSeqpacket {
    socket: Socket,
}

impl UnixSeqpacket {
    /// Connects.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`, `EPROTOTYPE` when a path's listener does not
    /// keep bounds. A full backlog is waited for: see [`Connecting`](crate::Connecting).
    pub async fn connect(handle: &Handle, addr: &Addr) -> io::Result<Self> {
        to_kernel(addr)?;
        let socket = Unconnected::new(addr.family(), SocketType::SEQPACKET)?;
        UnixSeqpacket::new(socket.connect(handle, addr)?.await?)
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    pub fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)?;
        let (a, b) = (
            Socket::from_unix_fd(handle, a)?,
            Socket::from_unix_fd(handle, b)?,
        );
        Ok((UnixSeqpacket::new(a)?, UnixSeqpacket::new(b)?))
    }

    /// A connection that is there already. It must be non-blocking; it does not tell credentials with
    /// each message from now on (`SO_PASSCRED`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `epoll_ctl(2)`; the fd is closed then.
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        // rustix would read them, and takes a pid for a number that is not 0; the kernel's may be.
        sockopt::set_socket_passcred(&fd, false)?;
        UnixSeqpacket::new(Socket::from_unix_fd(handle, fd)?)
    }

    /// The kernel says "0 bytes" of an empty message and of the end; but it has the time of a message only,
    /// so it is asked for that.
    fn new(socket: Socket) -> io::Result<Self> {
        setsockopt(&socket, ReceiveTimestamp, &true)?;
        Ok(UnixSeqpacket { socket })
    }

    /// Receives one message; `None` means that the peer sends no more. An empty message is one.
    ///
    /// Fds that come with it are closed: [`UnixSeqpacket::poll_recv_fds`] is for them.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET` when the peer closed before it had read everything. A message
    /// that is longer than the buffer is no error: see [`Datagram::is_truncated`].
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

    /// Receives one message and at most so many fds, which are this process's own from then on; `None`
    /// means that the peer sends no more.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_recv`]. More fds than that are no error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<Option<UnixMessage>>> {
        self.source().poll_io(cx, Direction::Read, |fd| {
            let (message, is_told_more) = message::receive(fd, buf, fds_max)?;
            let bytes = message.sent_bytes;
            let is_message = bytes > 0 || is_told_more;
            Ok(Done::one(is_message.then_some(message)).of_bytes(bytes))
        })
    }

    /// Sends one message, whole or not at all. While the peer has no room for it, this waits.
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE` when the peer is gone, `EMSGSIZE` when it is longer than the send
    /// buffer.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        message::poll_send(self.source(), cx, buf, &[])
    }

    /// Sends one message and fds: [`UnixSeqpacket::poll_send`]. The fds stay the caller's; the receiver
    /// gets duplicates.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::poll_send`]; `InvalidInput` for more than [`FDS_MAX`](crate::FDS_MAX) fds;
    /// `ETOOMANYREFS` when too many are on their way.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<()>> {
        message::poll_send(self.source(), cx, buf, fds)
    }

    /// Ends one direction or both: after [`Shutdown::Write`] the peer receives what was sent, and then
    /// the end.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Who is at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::of_peer(&self.socket)
    }

    /// This end's name.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.socket.local_addr()
    }

    /// The other end's name.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        self.socket.peer_addr()
    }

    /// The fd's registration, for what is not here.
    pub fn source(&self) -> &Source {
        self.socket.source()
    }
}

impl AsFd for UnixSeqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A Unix socket that listens for connections that keep bounds. Its file stays when it is dropped: whoever
/// bound it removes it.
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    listener: Listener,
}

impl UnixSeqpacketListener {
    /// Listens on a name.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EADDRINUSE` also for a file that an earlier listener left.
    pub fn bind(handle: &Handle, addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        to_kernel(addr)?;
        let listener = Listener::bind_type(handle, addr, SocketType::SEQPACKET, options)?;
        Ok(UnixSeqpacketListener { listener })
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixSeqpacket, Addr)>> {
        self.listener
            .poll_accept_as(cx, |socket, peer| Ok((UnixSeqpacket::new(socket)?, peer)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.listener.local_addr()
    }

    /// The listener of any family inside.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }
}
