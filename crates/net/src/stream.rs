//! What bytes go through, in two halves: each operation of sockets and pipes, once.

use crate::buffer::{CHUNK_BYTES, Chunk};
use crate::socket::Socket;
use oneloop_core::{Direction, Done, Ready, Source};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// More slices than this are more than one system call takes (`IOV_MAX`): the first ones are written.
const SLICES_MAX: usize = 1024;

/// Something with an fd on the loop.
pub trait AsSource {
    /// The fd's registration, for what is not here.
    fn source(&self) -> &Source;
}

/// What bytes can be read from: one half of a [`ByteStream`], or a pipe's end.
///
/// The poll functions keep the waker of one task: the last that asked.
pub trait ReadHalf: AsSource {
    /// The system call: reads what is there, and does not wait.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `EAGAIN`, `ECONNRESET`.
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// True if `read(2)` from the fd gives these very bytes, so that the kernel may move them by itself:
    /// see [`copy`](crate::copy()). A stream that decrypts says false.
    fn is_spliced(&self) -> bool {
        false
    }

    /// Reads into a buffer; 0 bytes mean that the other end sends no more.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`.
    #[inline]
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source()
            .poll_io(cx, Direction::Read, |_| read(self, buf))
    }

    /// Reads what is there, at most `bytes_max` (at least 1) and [`CHUNK_BYTES`], into a pooled buffer, which is
    /// taken only when something is; `None` means that the other end sends no more.
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    #[inline]
    fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        ready!(self.source().poll_ready(cx, Direction::Read))?;
        let mut chunk = Chunk::take();
        let space = &mut chunk.space()[..bytes_max.clamp(1, CHUNK_BYTES)];
        let count = ready!(self.poll_read(cx, space))?;
        Poll::Ready(Ok((count > 0).then(|| chunk.filled(count))))
    }

    /// Waits for a reset by the other end while nothing is read: ready with why the connection has ended.
    /// An end in good order, after which what was sent can still be read, is not told. See
    /// [`Source::poll_watch`].
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let source = self.source();
        ready!(source.poll_watch(cx, Direction::Read, Ready::ERROR));
        Poll::Ready(reset_error(source))
    }

    /// Like [`ReadHalf::poll_read_chunk`], without waiting: `Pending` only says that nothing is there.
    /// For code that is no task, or that has a share of I/O of its own: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`ReadHalf::poll_read`].
    fn try_read_chunk(&self, bytes_max: usize) -> Poll<io::Result<Option<Chunk>>> {
        if !self.source().ready().intersects(Ready::of(Direction::Read)) {
            return Poll::Pending;
        }
        let mut chunk = Chunk::take();
        let space = &mut chunk.space()[..bytes_max.clamp(1, CHUNK_BYTES)];
        let count = self
            .source()
            .try_io(Direction::Read, |_| read(self, space))?;
        match count {
            None => Poll::Pending,
            Some(count) => Poll::Ready(Ok((count > 0).then(|| chunk.filled(count)))),
        }
    }
}

/// What bytes can be written to: one half of a [`ByteStream`], or a pipe's end.
///
/// The poll functions keep the waker of one task: the last that asked. Writing to a reader that is gone
/// is `EPIPE`.
pub trait WriteHalf: AsSource {
    /// The system call: writes what the kernel takes, and does not wait.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EAGAIN`, `EPIPE`, `ECONNRESET`.
    fn write_once(&self, buf: &[u8]) -> io::Result<usize>;

    /// Like [`WriteHalf::write_once`], from several buffers.
    ///
    /// # Errors
    /// As [`WriteHalf::write_once`].
    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends the end of the stream, where that can be done without closing it: a socket is shut down for
    /// writing. The end of a pipe is its close, so nothing happens to one here.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer has reset the connection.
    fn end(&self) -> io::Result<()>;

    /// True if `write(2)` to the fd sends these very bytes: see [`ReadHalf::is_spliced`].
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

    /// Waits until all that was written is with the kernel, for what has others do it: standard output,
    /// where that is a file. Anything else holds nothing back.
    ///
    /// # Errors
    /// Those of `write(2)` that nobody was told of yet: `ENOSPC`.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Writes as much as the kernel takes now, without waiting: 0 bytes if it takes none. For code
    /// that is no task: see [`Source::try_io`].
    ///
    /// # Errors
    /// As [`WriteHalf::poll_write`].
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.source().try_io(Direction::Write, |_| match bufs {
            [buf] => write(self, buf),
            bufs => write_vectored(self, bufs),
        });
        Ok(written?.unwrap_or(0))
    }
}

/// Why a connection was reset. The kernel tells it once (`SO_ERROR`), and says `EPIPE` of a reset that
/// comes after the other end's last byte.
pub(crate) fn reset_error(source: &Source) -> io::Error {
    match sockopt::socket_error(source) {
        Ok(Err(errno)) if errno != Errno::PIPE => errno.into(),
        Err(Errno::NOTSOCK) => Errno::IO.into(),
        _ => Errno::CONNRESET.into(),
    }
}

fn read(half: &(impl ReadHalf + ?Sized), buf: &mut [u8]) -> io::Result<Done<usize>> {
    Ok(Done::stream(half.read_once(buf)?, buf.len()))
}

fn write(half: &(impl WriteHalf + ?Sized), buf: &[u8]) -> io::Result<Done<usize>> {
    Ok(Done::stream(half.write_once(buf)?, buf.len()))
}

fn write_vectored(
    half: &(impl WriteHalf + ?Sized),
    bufs: &[IoSlice<'_>],
) -> io::Result<Done<usize>> {
    let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
    let wanted = bufs.iter().map(|buf| buf.len()).sum();
    Ok(Done::stream(half.write_vectored_once(bufs)?, wanted))
}

/// Any byte stream with a [`Socket`] inside: it has both halves.
pub trait ByteStream {
    /// The socket inside.
    fn socket(&self) -> &Socket;
}
