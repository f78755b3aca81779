//! Byte streams and listeners, with `await`.

use crate::bind::{bind_addr, bind_name};
use futures_io::{AsyncRead, AsyncWrite};
use oneloop_core::{Direction, Handle};
use oneloop_net::{
    self as net, Addr, ByteStream, CHUNK_BYTES, Chunk, ConnectOptions, ListenOptions,
    ListenerStats, ReadHalf, Shutdown, ToTarget, ToUnixAddr, UnixMessage, WriteHalf,
};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A byte stream of some family, to be read and written with `await`.
///
/// All of it takes `&self`: one task can read while another writes. The family's own functions
/// (`set_nodelay`, `peer_addr`) are there by dereferencing.
///
/// It also has futures-io's `AsyncRead` and `AsyncWrite`, for libraries that speak these. A wait that
/// such a library began and gave up keeps the loop alive until the stream is dropped. Their close sends
/// the end of a connection, but not that of a pipe, which is its drop.
#[derive(Debug)]
pub struct Stream<S> {
    inner: S,
}

/// A TCP connection: see [`Stream`].
pub type TcpStream = Stream<net::TcpStream>;

/// A Unix stream connection: see [`Stream`].
pub type UnixStream = Stream<net::UnixStream>;

/// The end of a pipe or FIFO that bytes come out of: see [`Stream`], [`pipe`].
pub type PipeReader = Stream<net::PipeReader>;

/// The end of a pipe or FIFO that bytes go into: see [`Stream`], [`pipe`].
pub type PipeWriter = Stream<net::PipeWriter>;

impl<S> From<S> for Stream<S> {
    /// For one that was made without this style.
    fn from(inner: S) -> Self {
        Stream { inner }
    }
}

impl<S> Deref for Stream<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner
    }
}

impl<S: ReadHalf> Stream<S> {
    /// Reads into a buffer; 0 bytes mean that the other end sends no more.
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let half = &self.inner;
        half.source()
            .io(Direction::Read, |cx| half.poll_read(cx, buf))
            .await
    }

    /// Reads what is there into a pooled buffer: `None` means that the other end sends no more. A task
    /// that waits here holds no buffer.
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`.
    pub async fn read_chunk(&self) -> io::Result<Option<Chunk>> {
        let half = &self.inner;
        half.source()
            .io(Direction::Read, |cx| half.poll_read_chunk(cx, CHUNK_BYTES))
            .await
    }
}

impl<S: WriteHalf> Stream<S> {
    /// Writes as much as the kernel takes, at least one byte.
    ///
    /// Cancel safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EPIPE`, `ECONNRESET`.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let half = &self.inner;
        half.source()
            .io(Direction::Write, |cx| half.poll_write(cx, buf))
            .await
    }

    /// Writes all of it. Not cancel safe: dropped half-way, it has written an unknown part.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EPIPE`, `ECONNRESET`.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let count = self.write(buf).await?;
            buf = &buf[count..];
        }
        Ok(())
    }

    /// Waits until all that was written is with the kernel. Only standard output may hold something back,
    /// where that is a file. Cancel safe.
    ///
    /// # Errors
    /// Those of `write(2)` that no write has told.
    pub async fn flush(&self) -> io::Result<()> {
        let half = &self.inner;
        half.source()
            .io(Direction::Write, |cx| half.poll_flush(cx))
            .await
    }
}

impl<S: ByteStream> Stream<S> {
    /// Ends one direction or both: after [`Shutdown::Write`] the peer reads to the end of what was
    /// written.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer has reset the connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.socket().shutdown(how)
    }
}

impl TcpStream {
    /// Connects to an address, to `"HOST:PORT"` or `(host, port)`, or to whichever of several addresses
    /// answers first. Names are looked up on another thread. Cancel safe: dropped before it is ready, it
    /// gives up.
    ///
    /// # Errors
    /// As [`net::TcpStream::connect_with`]: `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`, with the name and
    /// each of its addresses; and what the look-up says.
    pub async fn connect(target: impl ToTarget) -> io::Result<Self> {
        Self::connect_with(target, ConnectOptions::default()).await
    }

    /// Connects, with options: from which address, how long, how soon the next address is tried. Cancel
    /// safe.
    ///
    /// # Errors
    /// As [`TcpStream::connect`]; [`TimedOut`](io::ErrorKind::TimedOut).
    pub async fn connect_with(target: impl ToTarget, options: ConnectOptions) -> io::Result<Self> {
        Ok(Stream {
            inner: net::TcpStream::connect_with(&Handle::current(), target, options).await?,
        })
    }
}

impl UnixStream {
    /// Connects to a path, or to an abstract name ([`Addr::UnixAbstract`]). Cancel safe: dropped before it
    /// is ready, it gives up.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`. A full backlog is waited for, as a blocking
    /// `connect(2)` does: a time-out bounds that.
    pub async fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        Ok(Stream {
            inner: net::UnixStream::connect(&Handle::current(), &name.to_unix_addr()).await?,
        })
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixStream::pair(&Handle::current())?;
        Ok((Stream { inner: a }, Stream { inner: b }))
    }

    /// Writes as many of these bytes as the kernel takes, at least one, and all of these fds with the first
    /// of them. The fds stay the caller's.
    ///
    /// Cancel safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// See [`net::UnixStream::poll_send_fds`].
    pub async fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let source = self.inner.socket().source();
        source
            .io(Direction::Write, |cx| {
                self.inner.poll_send_fds(cx, buf, fds)
            })
            .await
    }

    /// Reads bytes and at most so many fds, which are this process's own from then on; 0 bytes mean that
    /// the peer sends no more. Any other read closes the fds that come with what it reads.
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// See [`net::UnixStream::poll_recv_fds`].
    pub async fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<UnixMessage> {
        let source = self.inner.socket().source();
        source
            .io(Direction::Read, |cx| {
                self.inner.poll_recv_fds(cx, buf, fds_max)
            })
            .await
    }
}

/// A new pipe: what is written into the one is read from the other. For the ends of other pipes and of
/// FIFOs see [`net::PipeReader`] and [`Stream::from`].
///
/// ```
/// use oneloop_aio::{block_on, pipe};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let (reader, writer) = pipe()?;
///     writer.write_all(b"hello").await?;
///     drop(writer);
///     assert_eq!(&*reader.read_chunk().await?.unwrap(), b"hello");
///     assert!(reader.read_chunk().await?.is_none());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// Those of `pipe2(2)`: `EMFILE`.
///
/// # Panics
/// Outside of a loop.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = net::pipe(&Handle::current())?;
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
        net::PipeReader::open(&Handle::current(), path).map(Stream::from)
    }
}

impl PipeWriter {
    /// Opens a FIFO that somebody reads: see [`net::PipeWriter::open`].
    ///
    /// # Errors
    /// As there: `ENXIO` while nobody does.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        net::PipeWriter::open(&Handle::current(), path).map(Stream::from)
    }

    /// Opens a FIFO, and waits until somebody reads it: see [`net::PipeWriter::open_when_read`]. Cancel
    /// safe.
    ///
    /// # Errors
    /// As there.
    pub async fn open_when_read(path: impl AsRef<Path>) -> io::Result<Self> {
        let writer = net::PipeWriter::open_when_read(&Handle::current(), path).await?;
        Ok(writer.into())
    }
}

impl<S: ReadHalf + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buf)
    }
}

impl<S: WriteHalf + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.inner.end())
    }
}

/// A TCP socket that listens.
///
/// ```
/// use oneloop_aio::{block_on, spawn, TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     spawn(async move {
///         let (stream, _peer) = listener.accept().await?;
///         stream.write_all(b"hello").await
///     });
///     let stream = TcpStream::connect(addr).await?;
///     assert_eq!(&*stream.read_chunk().await?.unwrap(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    inner: net::TcpListener,
}

impl TcpListener {
    /// Listens on an address, or the first of several that works, with a backlog of 1024.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EACCES`; `InvalidInput` for a name: see
    /// [`TcpListener::bind_name`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        Self::bind_with(target, ListenOptions::default())
    }

    /// Listens on the first address of a name that works. The name is looked up on another thread. Cancel
    /// safe.
    ///
    /// # Errors
    /// As [`TcpListener::bind`]; and those of a failed look-up.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn bind_name(target: impl ToTarget, options: ListenOptions) -> io::Result<Self> {
        let bind = |handle: &Handle, addr| net::TcpListener::bind(handle, addr, options);
        let inner = bind_name(target, bind).await?;
        Ok(TcpListener { inner })
    }

    /// Listens, with options.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind_with(target: impl ToTarget, options: ListenOptions) -> io::Result<Self> {
        let bind = |handle: &Handle, addr| net::TcpListener::bind(handle, addr, options);
        let inner = bind_addr(target, bind)?;
        Ok(TcpListener { inner })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// See [`net::Listener::poll_accept`]: only an fd that cannot listen fails, so a loop of
    /// `accept().await?` lives through whatever goes wrong with one connection, or for want of fds.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let source = self.inner.listener().source();
        let (inner, peer) = source
            .io(Direction::Read, |cx| self.inner.poll_accept(cx))
            .await?;
        Ok((Stream { inner }, peer))
    }

    /// Where it listens: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// What it counted: connections accepted, shed and failed.
    pub fn stats(&self) -> ListenerStats {
        self.inner.listener().stats()
    }
}

/// A Unix socket that listens.
#[derive(Debug)]
pub struct UnixListener {
    inner: net::UnixListener,
}

impl UnixListener {
    /// Listens on a path, or on an abstract name ([`Addr::UnixAbstract`]). A file stays when this is
    /// dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let (handle, options) = (Handle::current(), ListenOptions::default());
        Ok(UnixListener {
            inner: net::UnixListener::bind(&handle, &name.to_unix_addr(), options)?,
        })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub async fn accept(&self) -> io::Result<(UnixStream, Addr)> {
        let source = self.inner.listener().source();
        let (inner, peer) = source
            .io(Direction::Read, |cx| self.inner.poll_accept(cx))
            .await?;
        Ok((Stream { inner }, peer))
    }
}
