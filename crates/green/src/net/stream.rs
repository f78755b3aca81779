//! Byte streams, read and written as files are.

use super::green_io::GreenIo;
use crate::wait::wait_io;
use oneloop_core::Direction;
use oneloop_net::{
    self as net, ConnectOptions, Credentials, HalfClose, Keepalive, ReadHalf, Shutdown, ToTarget,
    ToUnixAddr, UnixMessage, WriteHalf,
};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::path::Path;
use std::task::{Context, Poll, Waker};

/// A byte stream of some family, for green threads: [`TcpStream`], [`UnixStream`], [`PipeReader`],
/// [`Stdin`](crate::Stdin). It is read and written by the standard library's traits, through a
/// `&Stream` as well; see [`GreenIo`] for timeouts, closing and clones.
pub type Stream<S> = GreenIo<S>;

/// A TCP connection: see [`Stream`].
#[doc(alias("socket", "create_connection"))]
pub type TcpStream = GreenIo<net::TcpStream>;

/// A Unix stream connection: see [`Stream`].
pub type UnixStream = GreenIo<net::UnixStream>;

/// The reading end of a pipe or FIFO: see [`Stream`], [`pipe`].
pub type PipeReader = GreenIo<net::PipeReader>;

/// The writing end of a pipe or FIFO: see [`Stream`], [`pipe`].
pub type PipeWriter = GreenIo<net::PipeWriter>;

impl<S: ReadHalf> Read for &Stream<S> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Dropped when the wait is interrupted: a poll that is pending has read nothing (rule 14).
        let receive = |half: &S, cx: &mut Context<'_>| half.poll_read(cx, buf);
        self.io(Direction::Read, receive)
    }
}

impl<S: ReadHalf> Read for Stream<S> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl<S: WriteHalf> Write for &Stream<S> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let send = |half: &S, cx: &mut Context<'_>| half.poll_write(cx, buf);
        self.io(Direction::Write, send)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = |half: &S, cx: &mut Context<'_>| half.poll_write_vectored(cx, bufs);
        self.io(Direction::Write, send)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        let flush = |half: &S, cx: &mut Context<'_>| half.poll_flush(cx);
        let Ok(half) = self.get() else {
            return Ok(()); // closed: std's sockets have nothing to flush either
        };
        // Few kinds hold anything back. Polled without a waker first, a flush of the others neither
        // needs a green thread nor collides with a writer.
        match flush(&half, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => self.io(Direction::Write, flush),
        }
    }
}

impl<S: WriteHalf> Write for Stream<S> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl<S: HalfClose> GreenIo<S> {
    /// Ends one direction or both: after [`Shutdown::Write`] the peer receives what was sent, and
    /// then the end.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection; `EBADF` once the socket is closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.get()?.shutdown(how)
    }
}

impl TcpStream {
    /// Connects to `"HOST:PORT"`, `(host, port)`, an address, or the first of several addresses
    /// that answers. A name is looked up on another thread.
    ///
    /// ```no_run
    /// use oneloop::green::{net::TcpStream, run};
    /// use std::io::{Read, Write};
    /// let answer = run(|| {
    ///     let mut stream = TcpStream::connect("localhost:8080")?;
    ///     stream.write_all(b"hello\n")?;
    ///     let mut answer = [0; 6];
    ///     stream.read_exact(&mut answer)?;
    ///     Ok::<_, std::io::Error>(answer)
    /// })??;
    /// assert_eq!(&answer, b"hello\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`oneloop::net::TcpStream::connect_with`](oneloop_net::TcpStream::connect_with):
    /// `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`, with the name and each of its addresses; and
    /// those of a failed look-up.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(target: impl ToTarget) -> io::Result<Self> {
        Self::connect_with(target, ConnectOptions::default())
    }

    /// Connects, with options: the local address, the timeout, the delay before the next address.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect_with(target: impl ToTarget, options: ConnectOptions) -> io::Result<Self> {
        let connect = net::TcpStream::connect_with(target, options);
        wait_io(connect, Location::caller()).map(Self::from)
    }

    /// Sets whether the kernel sends small writes at once instead of gathering them
    /// (`TCP_NODELAY`). It does by default.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `EBADF` once the stream is closed.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.get()?.set_nodelay(nodelay)
    }

    /// Makes the close send a reset and drop the bytes that are not sent yet (`SO_LINGER` of 0 s), so
    /// that the peer does not take a part of a message for the whole.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `EBADF` once the stream is closed.
    #[doc(alias("SO_LINGER", "RST", "setsockopt"))]
    pub fn reset_on_close(&self) -> io::Result<()> {
        self.get()?.reset_on_close()
    }

    /// Sets when the kernel gives up a silent peer: see [`Keepalive`]. With `None` it never does.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EINVAL` beyond 32,767 s or 127 probes; `EBADF` once the stream is
    /// closed.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.get()?.set_keepalive(keepalive)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection; `EBADF` once the stream is closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get()?.peer_addr()
    }
}

impl UnixStream {
    /// Connects to a path, or to an abstract name
    /// ([`Addr::UnixAbstract`](super::Addr::UnixAbstract)).
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`. It waits while the backlog is full, as a
    /// blocking `connect(2)` does; a [`timeout`](crate::timeout()) limits that.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        let connect = net::UnixStream::connect(name);
        wait_io(connect, Location::caller()).map(Self::from)
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixStream::pair()?;
        Ok((a.into(), b.into()))
    }

    /// Writes as many bytes as the kernel takes, at least one, and sends all the fds with the first
    /// of them. The receiver gets duplicates of the fds.
    ///
    /// # Errors
    /// See [`oneloop::net::UnixStream::poll_send_fds`](oneloop_net::UnixStream::poll_send_fds);
    /// `EBADF` once the stream is closed.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let send =
            |socket: &net::UnixStream, cx: &mut Context<'_>| socket.poll_send_fds(cx, buf, fds);
        self.io(Direction::Write, send)
    }

    /// Reads bytes and at most `fds_max` fds, which this process then owns; 0 bytes mean that the
    /// peer sends no more. Any other read closes the fds that come with its bytes.
    ///
    /// # Errors
    /// See [`oneloop::net::UnixStream::poll_recv_fds`](oneloop_net::UnixStream::poll_recv_fds);
    /// `EBADF` once the stream is closed.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<UnixMessage> {
        let receive =
            |socket: &net::UnixStream, cx: &mut Context<'_>| socket.poll_recv_fds(cx, buf, fds_max);
        self.io(Direction::Read, receive)
    }

    /// The credentials of the peer's process (`SO_PEERCRED`).
    ///
    /// # Errors
    /// `EBADF` once the stream is closed.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        self.get()?.peer_credentials()
    }
}

/// For a custom protocol over any connected stream socket.
impl Stream<net::Socket> {
    /// Takes over a connected socket, which must be non-blocking.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`, which close the fd.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        net::Socket::from_fd(fd).map(Self::from)
    }
}

/// Makes a pipe, for green threads. For the ends of other pipes and of FIFOs see
/// [`oneloop::net::PipeReader`](oneloop_net::PipeReader) and [`GreenIo::from`].
///
/// ```
/// use oneloop::green::{net::pipe, run, spawn};
/// use std::io::{Read, Write};
/// let text = run(|| {
///     let (mut reader, mut writer) = pipe()?;
///     spawn(move || writer.write_all(b"hello"));
///     let mut text = String::new();
///     reader.read_to_string(&mut text)?;
///     Ok::<_, std::io::Error>(text)
/// })??;
/// assert_eq!(text, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of `pipe2(2)`: `EMFILE`.
///
/// # Panics
/// Outside of a loop.
#[track_caller]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = net::pipe()?;
    Ok((reader.into(), writer.into()))
}

impl PipeReader {
    /// Opens a FIFO: see [`oneloop::net::PipeReader::open`](oneloop_net::PipeReader::open).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        net::PipeReader::open(path).map(Self::from)
    }
}

impl PipeWriter {
    /// Opens a FIFO, and waits until another process reads it, as opening a file does: see
    /// [`oneloop::net::PipeWriter::open_when_read`](oneloop_net::PipeWriter::open_when_read).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let open = net::PipeWriter::open_when_read(path);
        wait_io(open, Location::caller()).map(Self::from)
    }
}
