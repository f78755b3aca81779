//! Unix stream sockets: [`Socket`] and [`Listener`] with names in the file system or abstract ones.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use crate::addr::Addr;
use crate::listener::{ListenOptions, Listener};
use crate::socket::{FLAGS, Socket};
use crate::stream::ByteStream;
use oneloop_core::{Direction, Done, Handle};
use rustix::net::{AddressFamily, SocketType, socketpair};
use std::io;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};

/// A Unix stream connection.
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

impl UnixStream {
    /// Connects.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`. A full backlog is waited for: see
    /// [`Connecting`](crate::Connecting).
    pub async fn connect(handle: &Handle, addr: &Addr) -> io::Result<Self> {
        Ok(UnixStream {
            socket: Socket::connect(handle, addr)?.await?,
        })
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    pub fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        let (a, b) = (
            Socket::from_unix_fd(handle, a)?,
            Socket::from_unix_fd(handle, b)?,
        );
        Ok((UnixStream { socket: a }, UnixStream { socket: b }))
    }

    /// Writes some of these bytes, as many as the kernel takes, and fds, all of which go with the first
    /// byte. The fds stay the caller's; the receiver gets duplicates. One that reads without asking for
    /// them has them closed by the kernel.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`: `EPIPE`, `ECONNRESET`, `ETOOMANYREFS` when too many fds are on their way;
    /// `InvalidInput` for fds without a byte, and for more than [`FDS_MAX`](crate::FDS_MAX) of them.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() && !fds.is_empty() {
            let problem = "fds travel with a byte of a stream: send one at least";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, problem)));
        }
        let source = self.socket.source();
        source.poll_io(cx, Direction::Write, |fd| {
            Ok(Done::stream(message::send(fd, buf, fds, None)?, buf.len()))
        })
    }

    /// Reads into a buffer, and at most so many fds, which are this process's own from then on; 0 bytes
    /// mean that the peer sends no more. A read stops behind a message that carried fds, so these belong
    /// to the bytes that came with them.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`. More fds than that are no error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        let source = self.socket.source();
        source.poll_io(cx, Direction::Read, |fd| {
            let (message, _) = message::receive(fd, buf, fds_max)?;
            let bytes = message.bytes;
            Ok(Done::one(message).of_bytes(bytes))
        })
    }

    /// Who is at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::of_peer(&self.socket)
    }
}

impl ByteStream for UnixStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// A Unix socket that listens. Its file stays when it is dropped: whoever bound it removes it.
#[derive(Debug)]
pub struct UnixListener {
    listener: Listener,
}

impl UnixListener {
    /// Listens on a name.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EADDRINUSE` also for a file that an earlier listener left.
    pub fn bind(handle: &Handle, addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        Ok(UnixListener {
            listener: Listener::bind(handle, addr, options)?,
        })
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Addr)>> {
        let (socket, peer) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok((UnixStream { socket }, peer)))
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
