//! Unix stream sockets: a [`Socket`] and a [`Listener`] with names in the file system or abstract
//! ones.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use super::name::ToUnixAddr;
use crate::addr::Addr;
use crate::listener::{ListenOptions, Listener};
use crate::socket::{ByteStream, Socket};
use crate::stream::{AsSource, chaos};
use oneloop_core::{Direction, Done, Source, Stream};
use rustix::net::SocketType;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, ready};

/// A Unix stream connection. It dereferences to [`Socket`], which has the functions of a socket of
/// any family.
#[derive(Debug)]
#[doc(alias("uv_pipe_t", "socketpair"))]
pub struct UnixStream {
    socket: Socket,
}

impl UnixStream {
    /// Connects to a path, or to an abstract name ([`Addr::UnixAbstract`]).
    ///
    /// While the listener's backlog is full, this waits, as a blocking `connect(2)` does: see
    /// [`Connecting`](crate::Connecting). Cancel safe: dropping the future closes the attempt.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`.
    pub async fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        // The name is borrowed only until here: the wait keeps its own copy.
        let connecting = Socket::connect(&name.to_unix_addr())?;
        Ok(UnixStream {
            socket: connecting.await?,
        })
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
        let (a, b) = Socket::pair(SocketType::STREAM)?;
        Ok((UnixStream { socket: a }, UnixStream { socket: b }))
    }

    /// Writes as many of these bytes as the kernel takes, at least one, and all of these fds with
    /// the first of them: see [`UnixStream::poll_send_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// As [`UnixStream::poll_send_fds`].
    pub fn send_fds(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        self.source()
            .io(Direction::Write, move |cx| self.poll_send_fds(cx, buf, fds))
    }

    /// Reads bytes, and at most `fds_max` fds: see [`UnixStream::poll_recv_fds`].
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// As [`UnixStream::poll_recv_fds`].
    pub fn recv_fds(
        &self,
        buf: &mut [u8],
        fds_max: usize,
    ) -> impl Future<Output = io::Result<UnixMessage>> {
        self.source().io(Direction::Read, move |cx| {
            self.poll_recv_fds(cx, buf, fds_max)
        })
    }

    /// Writes some of these bytes, as many as the kernel takes, and the fds, all of which go with
    /// the first byte. The caller keeps its fds; the receiver gets duplicates. If the receiver
    /// reads without asking for fds, the kernel closes the duplicates.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`: `EPIPE`, `ECONNRESET`, `ETOOMANYREFS` when too many fds are in
    /// flight; `InvalidInput` for fds without a byte, and for more than [`FDS_MAX`](crate::FDS_MAX)
    /// fds.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<usize>> {
        // unix(7): on a stream socket, SCM_RIGHTS needs at least one byte of real data.
        if buf.is_empty() && !fds.is_empty() {
            let problem = "fds travel with a byte of a stream: send at least one byte";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, problem)));
        }
        self.source().poll_io(cx, Direction::Write, |fd| {
            let buf = &buf[..chaos(self.source(), buf.len())?];
            Ok(Done::stream(message::send(fd, buf, fds, None)?, buf.len()))
        })
    }

    /// Reads into a buffer, and at most `fds_max` fds, which this process owns from then on. 0
    /// bytes mean that the peer sends no more. A read stops behind a message that carried fds, so
    /// the fds belong to the bytes that came with them. Any other read closes the fds that come
    /// with its bytes.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`. More than `fds_max` fds are not an error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        self.source().poll_io(cx, Direction::Read, |fd| {
            // `one`, and not `stream`: unix(7), a read stops behind a message with fds, so a short
            // one does not mean that the stream is empty.
            let bytes_max = chaos(self.source(), buf.len())?;
            let (message, _) = message::receive(fd, &mut buf[..bytes_max], fds_max)?;
            let bytes = message.bytes;
            Ok(Done::one(message).of_bytes(bytes))
        })
    }

    /// The process at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::peer_credentials(&self.socket)
    }
}

impl Deref for UnixStream {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl From<UnixStream> for Socket {
    /// For code that handles any family.
    fn from(stream: UnixStream) -> Self {
        stream.socket
    }
}

impl ByteStream for UnixStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// A Unix socket that listens. Dropping it leaves its file in place: the code that bound it removes
/// it.
#[derive(Debug)]
pub struct UnixListener {
    listener: Listener,
}

impl UnixListener {
    /// Listens on a path, or on an abstract name ([`Addr::UnixAbstract`]).
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        UnixListener::bind_with(name, ListenOptions::default())
    }

    /// Listens, with options.
    ///
    /// # Errors
    /// As [`UnixListener::bind`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind_with(name: impl ToUnixAddr, options: ListenOptions) -> io::Result<Self> {
        Ok(UnixListener {
            listener: Listener::bind(&name.to_unix_addr(), options)?,
        })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, Addr)>> {
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
    }

    /// A stream of the connections, in place of a loop around [`accept`](UnixListener::accept). It never
    /// ends; dropping it ends its wait.
    ///
    /// Its errors are those of `accept`: only an fd that cannot listen fails.
    #[doc(alias("Incoming", "UnixListenerStream"))]
    pub fn incoming(&self) -> impl Stream<Item = io::Result<(UnixStream, Addr)>> + Unpin {
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Addr)>> {
        let (socket, peer) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok((UnixStream { socket }, peer)))
    }
}

impl Deref for UnixListener {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.listener
    }
}

impl AsSource for UnixListener {
    fn source(&self) -> &Source {
        self.listener.source()
    }
}
