//! The two halves of a byte stream, each operation once: how sockets, pipes, terminals and files
//! are read and written.

use crate::buffer::{CHUNK_BYTES, Chunk};
use oneloop_core::{Direction, Done, Ready, Source};
use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{self, sockopt};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

/// The most slices that one `writev(2)` takes (`IOV_MAX`). With more of them, the first are
/// written.
const SLICES_MAX: usize = 1024;

/// A type that has an fd on the loop.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no fd on the loop",
    note = "sockets, pipes and standard streams on the loop are in `oneloop::net`; \
            `oneloop::net::Input::from_fd(fd)?` reads an fd of any kind, `Output::from_fd` writes one"
)]
pub trait AsSource {
    /// The fd's registration with the loop.
    fn source(&self) -> &Source;
}

/// A connection whose directions can be ended one at a time.
pub trait HalfClose: AsSource {
    /// Ends one direction or both: after [`Shutdown::Write`] the peer receives what was sent, and
    /// then the end.
    ///
    /// # Errors
    /// Those of `shutdown(2)`: `ENOTCONN` once the peer has reset the connection.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A byte stream that can be read: a [`ByteStream`](crate::ByteStream), or the reading end of a
/// pipe.
///
/// The poll functions wake one task: the last one that polled.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read on the loop",
    label = "write a socket, a `PipeReader` or an `Input` of `oneloop::net`",
    note = "`oneloop::net::Input::from_fd(fd.into())?` reads an fd of any kind, and \
            `oneloop::net::stdin()?` is standard input"
)]
#[doc(alias("AsyncRead", "AsyncReadExt"))]
pub trait ReadHalf: AsSource {
    /// Makes the system call once: reads the bytes that have arrived, and does not wait.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `EAGAIN`, `ECONNRESET`.
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// True if `read(2)` on the fd returns the same bytes as this half, so that the kernel may move
    /// them on its own: see [`copy`](crate::copy()). A stream that decrypts returns false.
    fn is_spliced(&self) -> bool {
        false
    }

    /// Reads into a buffer. Returns 0 when the peer sends no more.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`.
    #[inline]
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source()
            .poll_io(cx, Direction::Read, |_| read(self, buf))
    }

    /// Reads the bytes that have arrived, at most `bytes_max` (at least 1) and [`CHUNK_BYTES`],
    /// into a pooled buffer. Returns `None` when the peer sends no more.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    #[inline]
    fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        self.source()
            .poll_io(cx, Direction::Read, |_| read_chunk(self, bytes_max))
    }

    /// Waits until there is something to read: bytes, the end, or an error. See
    /// [`ReadHalf::readable`].
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source().poll_ready(cx, Direction::Read)
    }

    /// Waits for a reset by the peer while nothing is read. Ready with the reason why the
    /// connection has ended. An orderly end does not complete this: what the peer sent before can
    /// still be read. See [`Source::poll_watch`].
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let source = self.source();
        ready!(source.poll_watch(cx, Direction::Read, Ready::ERROR));
        Poll::Ready(reset_error(source))
    }

    /// Like [`ReadHalf::poll_read_chunk`], without waiting: `Pending` only says that no bytes have
    /// arrived. For code that is not a task, or that keeps its own budget: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    fn try_read_chunk(&self, bytes_max: usize) -> Poll<io::Result<Option<Chunk>>> {
        let read = self
            .source()
            .try_io(Direction::Read, |_| read_chunk(self, bytes_max))?;
        read.map_or(Poll::Pending, |chunk| Poll::Ready(Ok(chunk)))
    }

    /// Like [`ReadHalf::poll_read`], without waiting: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`]; [`WouldBlock`](io::ErrorKind::WouldBlock) while no bytes have
    /// arrived.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source().try_io(Direction::Read, |_| read(self, buf))?;
        count.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Waits until there is something to read: bytes, the end, or an error. A read may still find
    /// nothing, so follow it by [`ReadHalf::try_read`] in a loop.
    ///
    /// Cancel safe: it reads nothing.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    fn readable(&self) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        self.source()
            .io(Direction::Read, move |cx| self.poll_readable(cx))
    }

    /// Reads into a buffer. Returns 0 when the peer sends no more.
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    #[inline]
    fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>>
    where
        Self: Sized,
    {
        // Not an `async fn`: this wait is the whole future, so a message passes one state machine
        // less.
        self.source()
            .io(Direction::Read, move |cx| self.poll_read(cx, buf))
    }

    /// Fills the buffer.
    ///
    /// Not cancel safe: dropped halfway, it has read an unknown part.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`]; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer
    /// sends fewer bytes.
    fn read_exact(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        let mut filled = 0;
        self.source().io(Direction::Read, move |cx| {
            while filled < buf.len() {
                match ready!(self.poll_read(cx, &mut buf[filled..]))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    count => filled += count,
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Reads to the end, at most `bytes_max` bytes.
    ///
    /// Not cancel safe: dropped halfway, it loses what it has read.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`]; [`InvalidData`](io::ErrorKind::InvalidData) as soon as the
    /// stream exceeds the limit.
    fn read_all(&self, bytes_max: usize) -> impl Future<Output = io::Result<Vec<u8>>>
    where
        Self: Sized,
    {
        let mut bytes = Vec::new();
        self.source().io(Direction::Read, move |cx| {
            while let Some(chunk) = ready!(self.poll_read_chunk(cx, CHUNK_BYTES))? {
                if chunk.len() > bytes_max - bytes.len() {
                    return Poll::Ready(Err(too_long(bytes_max)));
                }
                bytes.extend_from_slice(&chunk);
            }
            Poll::Ready(Ok(std::mem::take(&mut bytes)))
        })
    }

    /// Reads text to the end, at most `bytes_max` bytes. Not cancel safe, as
    /// [`ReadHalf::read_all`].
    ///
    /// # Errors
    /// As [`ReadHalf::read_all`]; [`InvalidData`](io::ErrorKind::InvalidData) around a
    /// [`FromUtf8Error`](std::string::FromUtf8Error), which has the bytes, if they are not UTF-8.
    fn read_text(&self, bytes_max: usize) -> impl Future<Output = io::Result<String>>
    where
        Self: Sized,
    {
        async move { utf8(self.read_all(bytes_max).await?) }
    }

    /// Reads the bytes that have arrived into a pooled buffer. Returns `None` when the peer sends
    /// no more. A task that waits here holds no buffer.
    ///
    /// Cancel safe: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    #[inline]
    fn read_chunk(&self) -> impl Future<Output = io::Result<Option<Chunk>>>
    where
        Self: Sized,
    {
        self.source().io(Direction::Read, move |cx| {
            self.poll_read_chunk(cx, CHUNK_BYTES)
        })
    }
}

/// Makes text of bytes.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) around an error that has the bytes.
pub(crate) fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The error for a stream that does not end within the limit of its reader.
fn too_long(bytes_max: usize) -> io::Error {
    let problem = format!("the stream has more than {bytes_max} bytes");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A byte stream that can be written: a [`ByteStream`](crate::ByteStream), or the writing end of a
/// pipe.
///
/// The poll functions wake one task: the last one that polled. Once the reader is gone, a write
/// fails with `EPIPE`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written on the loop",
    label = "write a socket, a `PipeWriter` or an `Output` of `oneloop::net`",
    note = "`oneloop::net::Output::from_fd(fd.into())?` writes an fd of any kind, and \
            `oneloop::net::stdout()?` is standard output"
)]
#[doc(alias("AsyncWrite", "AsyncWriteExt"))]
pub trait WriteHalf: AsSource {
    /// Makes the system call once: writes the bytes that the kernel takes, and does not wait.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EAGAIN`, `EPIPE`, `ECONNRESET`.
    fn write_once(&self, buf: &[u8]) -> io::Result<usize>;

    /// Like [`WriteHalf::write_once`], from several buffers.
    ///
    /// # Errors
    /// As [`WriteHalf::write_once`].
    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends the end of the stream, if that is possible without a close: it shuts a socket down for
    /// writing. The end of a pipe is its close, so this does nothing to a pipe.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer has reset the connection.
    fn end(&self) -> io::Result<()>;

    /// True if `write(2)` to the fd sends the same bytes as this half: see
    /// [`ReadHalf::is_spliced`].
    fn is_spliced(&self) -> bool {
        false
    }

    /// Writes some of these bytes, as many as the kernel takes.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EPIPE`, `ECONNRESET`.
    #[inline]
    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.source()
            .poll_io(cx, Direction::Write, |_| write(self, buf))
    }

    /// Like [`WriteHalf::poll_write`], from several buffers in one system call.
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    #[inline]
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.source()
            .poll_io(cx, Direction::Write, |_| write_vectored(self, bufs))
    }

    /// Waits until the kernel holds all written bytes. Only an [`Output`](crate::Output) that is a
    /// file holds bytes back, for the thread that writes them.
    ///
    /// # Errors
    /// Those of `write(2)` that no call has returned yet: `ENOSPC`.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Waits until the kernel takes bytes: see [`WriteHalf::writable`].
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source().poll_ready(cx, Direction::Write)
    }

    /// Like [`WriteHalf::poll_write`], without waiting: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`]; [`WouldBlock`](io::ErrorKind::WouldBlock) while the kernel
    /// takes nothing.
    fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let count = self
            .source()
            .try_io(Direction::Write, |_| write(self, buf))?;
        count.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Writes as much as the kernel takes now, without waiting. Returns 0 if it takes nothing. For
    /// code that is not a task: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self
            .source()
            .try_io(Direction::Write, |_| write_vectored(self, bufs));
        Ok(written?.unwrap_or(0))
    }

    /// Writes as much as the kernel takes, at least one byte.
    ///
    /// Cancel safe: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    #[inline]
    fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>>
    where
        Self: Sized,
    {
        self.source()
            .io(Direction::Write, move |cx| self.poll_write(cx, buf))
    }

    /// Writes as much of several buffers as the kernel takes, at least one byte, in one system
    /// call.
    ///
    /// Cancel safe, as [`WriteHalf::write`].
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    #[doc(alias("writev", "sendmsg"))]
    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> impl Future<Output = io::Result<usize>>
    where
        Self: Sized,
    {
        self.source().io(Direction::Write, move |cx| {
            self.poll_write_vectored(cx, bufs)
        })
    }

    /// Waits until the kernel takes bytes, or the connection has an error. A write may still find
    /// no room, so follow it by [`WriteHalf::try_write`] in a loop.
    ///
    /// Cancel safe: it writes nothing.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    fn writable(&self) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        self.source()
            .io(Direction::Write, move |cx| self.poll_writable(cx))
    }

    /// Writes all bytes.
    ///
    /// Not cancel safe: dropped halfway, it has written an unknown part.
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    #[inline]
    fn write_all(&self, mut buf: &[u8]) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        // One wait for all writes, rather than one for each of them.
        self.source().io(Direction::Write, move |cx| {
            while !buf.is_empty() {
                let count = ready!(self.poll_write(cx, buf))?;
                buf = &buf[count..];
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Waits until the kernel holds all written bytes: see [`WriteHalf::poll_flush`]. Cancel safe.
    ///
    /// # Errors
    /// As [`WriteHalf::poll_flush`].
    fn flush(&self) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        self.source()
            .io(Direction::Write, move |cx| self.poll_flush(cx))
    }
}

/// The reason why a connection was reset.
pub(crate) fn reset_error(source: &Source) -> io::Error {
    match sockopt::socket_error(source) {
        Ok(Err(errno)) if errno != Errno::PIPE => errno.into(),
        Err(Errno::NOTSOCK) => Errno::IO.into(),
        // SO_ERROR returns an error once and clears it, so an earlier call may have had it. And the
        // kernel sets EPIPE for a reset that comes behind the peer's FIN.
        _ => Errno::CONNRESET.into(),
    }
}

/// The number of bytes, of `len`, that a call may move under chaos; otherwise `len`.
///
/// # Errors
/// `ECONNRESET`, under chaos only.
#[inline]
pub(crate) fn chaos(source: &Source, len: usize) -> io::Result<usize> {
    if source.chaos_resets(|| reset(source)) {
        return Err(Errno::CONNRESET.into());
    }
    let moved = source.chaos_len(len);
    Ok(if moved < len && has_packets(source) {
        len
    } else {
        moved
    })
}

/// True for an end of a pipe that may have packets and so is no byte stream: a short read loses the
/// rest of a packet. Short writes still split what the reader of a plain pipe gets.
#[cold]
fn has_packets(source: &Source) -> bool {
    let flags = fs::fcntl_getfl(source).unwrap_or(OFlags::empty());
    let is_fifo = || {
        let status = fs::fstat(source);
        status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_fifo())
    };
    // pipe2(2) sets O_DIRECT at the end that is written only, and marks each packet.
    flags.contains(OFlags::DIRECT) || (flags & OFlags::RWMODE == OFlags::RDONLY && is_fifo())
}

/// Breaks a connection so that both ends notice. False for an fd that is no connection: the kernel
/// resets no pipe.
#[cold]
fn reset(source: &Source) -> bool {
    // tcp(7): AF_UNSPEC dissolves the connection, and the peer gets a reset. Unix sockets refuse it.
    net::connect_unspec(source).is_ok() || net::shutdown(source, net::Shutdown::Both).is_ok()
}

fn read(half: &(impl ReadHalf + ?Sized), buf: &mut [u8]) -> io::Result<Done<usize>> {
    let len = chaos(half.source(), buf.len())?;
    let buf = &mut buf[..len];
    Ok(Done::stream(half.read_once(buf)?, buf.len()))
}

/// Reads into a pooled buffer. It is taken only once the kernel is expected to have bytes: a
/// connection that waits holds none.
fn read_chunk(
    half: &(impl ReadHalf + ?Sized),
    bytes_max: usize,
) -> io::Result<Done<Option<Chunk>>> {
    let mut chunk = Chunk::take();
    let read = read(half, &mut chunk.space()[..bytes_max.clamp(1, CHUNK_BYTES)])?;
    Ok(read.map(|count| (count > 0).then(|| chunk.filled(count))))
}

fn write(half: &(impl WriteHalf + ?Sized), buf: &[u8]) -> io::Result<Done<usize>> {
    let buf = &buf[..chaos(half.source(), buf.len())?];
    Ok(Done::stream(half.write_once(buf)?, buf.len()))
}

fn write_vectored(
    half: &(impl WriteHalf + ?Sized),
    bufs: &[IoSlice<'_>],
) -> io::Result<Done<usize>> {
    // send(2) for a single buffer: it is cheaper than sendmsg(2), and the common case.
    if let [buf] = bufs {
        return write(half, buf);
    }
    // writev(2) returns EINVAL for more slices, although it could write the first ones.
    let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
    let wanted = bufs.iter().map(|buf| buf.len()).sum();
    let len = chaos(half.source(), wanted)?;
    if len < wanted {
        let bufs = first_bytes(bufs, len);
        return Ok(Done::stream(half.write_vectored_once(&bufs)?, len));
    }
    Ok(Done::stream(half.write_vectored_once(bufs)?, wanted))
}

/// The slices of the first `len` bytes.
#[cold]
fn first_bytes<'a>(bufs: &'a [IoSlice<'_>], mut len: usize) -> Vec<IoSlice<'a>> {
    let cut = bufs.iter().map_while(|buf| {
        let taken = buf.len().min(len);
        len -= taken;
        (taken > 0 || buf.is_empty()).then(|| IoSlice::new(&buf[..taken]))
    });
    cut.collect()
}
