//! Byte streams, read and written as files are.

use super::open::Open;
use crate::wait::wait_io;
use oneloop_core::Direction;
use oneloop_net::{
    self as net, AsSource, ByteStream, ConnectOptions, Credentials, Keepalive, ReadHalf, Shutdown,
    ToTarget, ToUnixAddr, UnixMessage, WriteHalf,
};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A byte stream of some family, for green threads: [`TcpStream`], [`UnixStream`].
///
/// Clones are the same connection: one green thread can read while another one writes. It is closed with
/// its last clone, or by [`Stream::close`]; who waits on it then gets `EBADF`.
///
/// Reading and writing never block the loop, and interrupt as any wait does: a thread that is killed
/// while it reads or writes has moved nothing with that call (`write_all` an unknown part).
pub struct Stream<S> {
    pub(super) open: Rc<Open<S>>,
}

/// A TCP connection: see [`Stream`].
pub type TcpStream = Stream<net::TcpStream>;

/// A Unix stream connection: see [`Stream`].
pub type UnixStream = Stream<net::UnixStream>;

/// The end of a pipe or FIFO that bytes come out of: see [`Stream`], [`pipe`].
pub type PipeReader = Stream<net::PipeReader>;

/// The end of a pipe or FIFO that bytes go into: see [`Stream`], [`pipe`].
pub type PipeWriter = Stream<net::PipeWriter>;

impl<S> Clone for Stream<S> {
    fn clone(&self) -> Self {
        Stream {
            open: Rc::clone(&self.open),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.open.get() {
            Ok(socket) => write!(f, "Stream({socket:?})"),
            Err(_) => f.write_str("Stream(closed)"),
        }
    }
}

impl<S: AsSource> Stream<S> {
    pub(crate) fn new(socket: S) -> Self {
        Stream {
            open: Open::new(socket, S::source),
        }
    }
}

impl<S> Stream<S> {
    /// What is inside, if this is the only clone, and open.
    pub(crate) fn into_inner(self) -> Option<S> {
        Rc::into_inner(self.open)?.into_inner()
    }

    /// What is inside.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub(crate) fn get(&self) -> io::Result<Rc<S>> {
        self.open.get()
    }

    /// Closes the connection, for all clones. Who reads or writes at that moment is woken with `EBADF`.
    pub fn close(&self) {
        self.open.close();
    }

    /// How long a read waits at most; `None`, as at first, is for ever. It fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut) then. With zero it never waits, and fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Read, timeout);
    }

    /// How long a write waits at most: see [`Stream::set_read_timeout`].
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Write, timeout);
    }

    /// How long a read waits at most.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.open.timeout(Direction::Read)
    }

    /// How long a write waits at most.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.open.timeout(Direction::Write)
    }
}

impl<S: ByteStream> Stream<S> {
    /// As [`eventlet::close`](crate::eventlet::close).
    pub(crate) fn close_unnoticed(&self) {
        self.open.close_unnoticed(|socket| {
            let _ = socket.socket().shutdown(Shutdown::Both); // the peer may have gone
        });
    }

    /// Ends one direction or both: after [`Shutdown::Write`] the peer reads to the end of what was
    /// written.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer has reset the connection; `EBADF` once it is closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.open.get()?.socket().shutdown(how)
    }
}

impl<S: ReadHalf> Stream<S> {
    #[track_caller]
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let receive = |half: &S, cx: &mut Context<'_>| half.poll_read(cx, buf);
        self.open.io(Direction::Read, receive)
    }
}

impl<S: WriteHalf> Stream<S> {
    #[track_caller]
    fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            [buf] => {
                let send = |half: &S, cx: &mut Context<'_>| half.poll_write(cx, buf);
                self.open.io(Direction::Write, send)
            }
            bufs => {
                let send = |half: &S, cx: &mut Context<'_>| half.poll_write_vectored(cx, bufs);
                self.open.io(Direction::Write, send)
            }
        }
    }

    /// Mostly nothing is held back, so that there is nothing to wait for.
    #[track_caller]
    fn wait_for_flush(&self) -> io::Result<()> {
        let flush = |half: &S, cx: &mut Context<'_>| half.poll_flush(cx);
        let Ok(half) = self.open.get() else {
            return Ok(());
        };
        match flush(&half, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => self.open.io(Direction::Write, flush),
        }
    }
}

impl TcpStream {
    /// Connects: to `"HOST:PORT"`, `(host, port)`, an address, or whichever of several answers first. A
    /// name is looked up on another thread.
    ///
    /// ```no_run
    /// use oneloop_green::{net::TcpStream, run};
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
    /// As [`net::TcpStream::connect_with`]: `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`, with the name and
    /// each of its addresses; and what the look-up says.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(target: impl ToTarget) -> io::Result<Self> {
        Self::connect_with(target, ConnectOptions::default())
    }

    /// Connects, with options: from which address, how long, how soon the next address is tried.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect_with(target: impl ToTarget, options: ConnectOptions) -> io::Result<Self> {
        let connect = net::TcpStream::connect_with(target, options);
        wait_io(connect, Location::caller()).map(Stream::new)
    }

    /// Says whether small writes are sent at once rather than gathered (`TCP_NODELAY`); they are.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `EBADF` once it is closed.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.open.get()?.set_nodelay(nodelay)
    }

    /// Has the kernel give up a peer that says nothing: see [`Keepalive`]. `None` has it wait for ever.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EINVAL` beyond 32,767 s or 127 probes; `EBADF` once it is closed.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.open.get()?.set_keepalive(keepalive)
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`; `EBADF` once it is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.open.get()?.local_addr()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection; `EBADF` once it is closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.open.get()?.peer_addr()
    }
}

impl UnixStream {
    /// Connects to a path, or to an abstract name ([`Addr::UnixAbstract`](super::Addr::UnixAbstract)).
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`. A full backlog is waited for, as a blocking
    /// `connect(2)` does: a time-out bounds that.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        let connect = net::UnixStream::connect(name);
        wait_io(connect, Location::caller()).map(Stream::new)
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixStream::pair()?;
        Ok((Stream::new(a), Stream::new(b)))
    }

    /// Writes as many of these bytes as the kernel takes, at least one, and all of these fds with the first
    /// of them. The fds stay the caller's.
    ///
    /// # Errors
    /// See [`net::UnixStream::poll_send_fds`]; `EBADF` once it is closed.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let send =
            |socket: &net::UnixStream, cx: &mut Context<'_>| socket.poll_send_fds(cx, buf, fds);
        self.open.io(Direction::Write, send)
    }

    /// Reads bytes and at most so many fds, which are this process's own from then on; 0 bytes mean that
    /// the peer sends no more. Any other read closes the fds that come with what it reads.
    ///
    /// # Errors
    /// See [`net::UnixStream::poll_recv_fds`]; `EBADF` once it is closed.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<UnixMessage> {
        let receive =
            |socket: &net::UnixStream, cx: &mut Context<'_>| socket.poll_recv_fds(cx, buf, fds_max);
        self.open.io(Direction::Read, receive)
    }

    /// Who is at the other end (`SO_PEERCRED`).
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        self.open.get()?.peer_credentials()
    }
}

/// For a protocol of one's own over any connected stream socket.
impl Stream<net::Socket> {
    /// A socket that is connected already; it must be non-blocking.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        net::Socket::from_fd(fd).map(Stream::new)
    }
}

impl<S: AsSource> From<S> for Stream<S> {
    /// For one that was made without this style.
    fn from(inner: S) -> Self {
        Stream::new(inner)
    }
}

/// A new pipe, for green threads: what is written into the one is read from the other. For the ends of
/// other pipes and of FIFOs see [`net::PipeReader`] and [`Stream::from`].
///
/// ```
/// use oneloop_green::{net::pipe, run, spawn};
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
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = net::pipe()?;
    Ok((reader.into(), writer.into()))
}

impl PipeReader {
    /// Opens a FIFO: see [`net::PipeReader::open`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        net::PipeReader::open(path).map(Stream::new)
    }
}

impl PipeWriter {
    /// Opens a FIFO, and waits until somebody reads it, as opening a file does: see
    /// [`net::PipeWriter::open_when_read`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let open = net::PipeWriter::open_when_read(path);
        wait_io(open, Location::caller()).map(Stream::new)
    }
}

impl<S: ReadHalf> Read for &Stream<S> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.receive(buf)
    }
}

impl<S: ReadHalf> Read for Stream<S> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.receive(buf)
    }
}

impl<S: WriteHalf> Write for &Stream<S> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send(&[IoSlice::new(buf)])
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(bufs)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        self.wait_for_flush()
    }
}

impl<S: WriteHalf> Write for Stream<S> {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send(&[IoSlice::new(buf)])
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(bufs)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        self.wait_for_flush()
    }
}
