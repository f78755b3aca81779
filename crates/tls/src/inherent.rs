//! The operations of a stream as inherent methods, so that `stream.read_chunk().await` needs no
//! trait in scope.

use crate::stream::TlsStream;
use oneloop_net::{Chunk, FrameWriter, Frames, LengthPrefix, Lines, ReadHalf, WriteHalf};
use std::future::Future;
use std::io::{self, IoSlice};

impl<S: ReadHalf + WriteHalf> TlsStream<S> {
    /// Reads into a buffer; 0 bytes are the end, which the peer has sent. Cancel safe.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream below ends without a
    /// close_notify; [`InvalidData`](io::ErrorKind::InvalidData) around a
    /// [`rustls::Error`](crate::rustls::Error) for bytes that are no valid TLS, which an alert tells
    /// the peer; those of `recv(2)`: `ECONNRESET`.
    #[inline]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        ReadHalf::read(self, buf)
    }

    /// Waits until there is something to read. Cancel safe.
    ///
    /// # Errors
    /// As [`TlsStream::read`].
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        ReadHalf::readable(self)
    }

    /// Reads into a buffer without waiting.
    ///
    /// # Errors
    /// As [`TlsStream::read`]; [`WouldBlock`](io::ErrorKind::WouldBlock) while no bytes have arrived.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        ReadHalf::try_read(self, buf)
    }

    /// Fills the buffer. Not cancel safe: see [`ReadHalf::read_exact`].
    ///
    /// # Errors
    /// As [`TlsStream::read`]; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer sends fewer
    /// bytes.
    pub fn read_exact(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>> {
        ReadHalf::read_exact(self, buf)
    }

    /// Reads to the end, at most `bytes_max` bytes. Not cancel safe: see [`ReadHalf::read_all`].
    ///
    /// # Errors
    /// As [`TlsStream::read`]; [`InvalidData`](io::ErrorKind::InvalidData) for a longer stream.
    #[doc(alias = "read_to_end")]
    pub fn read_all(&self, bytes_max: usize) -> impl Future<Output = io::Result<Vec<u8>>> {
        ReadHalf::read_all(self, bytes_max)
    }

    /// Reads text to the end, at most `bytes_max` bytes. Not cancel safe: see
    /// [`ReadHalf::read_text`].
    ///
    /// # Errors
    /// As [`TlsStream::read_all`]; [`InvalidData`](io::ErrorKind::InvalidData) for bytes that are not
    /// UTF-8.
    #[doc(alias = "read_to_string")]
    pub fn read_text(&self, bytes_max: usize) -> impl Future<Output = io::Result<String>> {
        ReadHalf::read_text(self, bytes_max)
    }

    /// Reads into a pooled buffer; `None` is the end. Cancel safe.
    ///
    /// # Errors
    /// As [`TlsStream::read`].
    #[inline]
    #[doc(alias = "read_buf")]
    pub fn read_chunk(&self) -> impl Future<Output = io::Result<Option<Chunk>>> {
        ReadHalf::read_chunk(self)
    }

    /// The lines of this stream, each of at most `bytes_max` bytes without its end.
    pub fn lines(&self, bytes_max: usize) -> Lines<&Self> {
        Lines::new(self, bytes_max)
    }

    /// The frames of this stream, each behind its length and of at most `bytes_max` bytes.
    pub fn frames(&self, prefix: LengthPrefix, bytes_max: usize) -> Frames<&Self> {
        Frames::new(self, prefix, bytes_max)
    }

    /// Encrypts and sends some of these bytes, at least one. A rest of them may stay in the session
    /// until a flush, a read or the next write. Cancel safe: dropped before it is ready, it has written
    /// nothing.
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE`, `ECONNRESET`.
    #[inline]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
        WriteHalf::write(self, buf)
    }

    /// As [`TlsStream::write`], from several buffers.
    ///
    /// # Errors
    /// As [`TlsStream::write`].
    pub fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> impl Future<Output = io::Result<usize>> {
        WriteHalf::write_vectored(self, bufs)
    }

    /// Waits until the kernel takes bytes. Cancel safe.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        WriteHalf::writable(self)
    }

    /// Writes without waiting: see [`TlsStream::write`].
    ///
    /// # Errors
    /// As [`TlsStream::write`]; [`WouldBlock`](io::ErrorKind::WouldBlock) while the kernel takes
    /// nothing.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        WriteHalf::try_write(self, buf)
    }

    /// Writes all bytes, and waits until the kernel holds them. Not cancel safe: dropped
    /// halfway, it leaves an unknown part written.
    ///
    /// # Errors
    /// As [`TlsStream::write`].
    #[inline]
    pub fn write_all(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        WriteHalf::write_all(self, buf)
    }

    /// Waits until the kernel holds all written bytes. Cancel safe.
    ///
    /// # Errors
    /// As [`TlsStream::write`].
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> {
        WriteHalf::flush(self)
    }

    /// A writer of frames, each behind its length and of at most `bytes_max` bytes.
    pub fn frame_writer(&self, prefix: LengthPrefix, bytes_max: usize) -> FrameWriter<&Self> {
        FrameWriter::new(self, prefix, bytes_max)
    }
}
