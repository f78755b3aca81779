//! The operations of byte streams as inherent methods.
//!
//! [`ReadHalf`] and [`WriteHalf`] define each operation. The macros repeat their names, so that
//! `stream.read_chunk().await` needs no trait in scope.

use crate::buffer::Chunk;
use crate::frame_splitter::LengthPrefix;
use crate::frames::{FrameWriter, Frames};
use crate::lines::Lines;
use crate::owned_halves::{OwnedReadHalf, OwnedWriteHalf, into_split};
use crate::pipe::{PipeReader, PipeWriter};
use crate::socket::Socket;
use crate::stdio::{Input, Output};
use crate::stream::{ReadHalf, WriteHalf};
use crate::tcp::TcpStream;
use crate::tty::Tty;
use crate::unix::UnixStream;
use std::future::Future;
use std::io::{self, IoSlice};

macro_rules! reads {
    ($($stream:ty),+) => { $(
        impl $stream {
            /// Reads into a buffer; 0 bytes are the end. Cancel safe: see [`ReadHalf::read`].
            ///
            /// # Errors
            /// As [`ReadHalf::poll_read`].
            #[inline]
            pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
                ReadHalf::read(self, buf)
            }

            /// Waits until there is something to read. Cancel safe: see [`ReadHalf::readable`].
            ///
            /// # Errors
            /// As [`ReadHalf::readable`].
            pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
                ReadHalf::readable(self)
            }

            /// Reads into a buffer without waiting: see [`ReadHalf::try_read`].
            ///
            /// # Errors
            /// As [`ReadHalf::try_read`]: `WouldBlock` while no bytes have arrived.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                ReadHalf::try_read(self, buf)
            }

            /// Fills the buffer. Not cancel safe: see [`ReadHalf::read_exact`].
            ///
            /// # Errors
            /// As [`ReadHalf::read_exact`]: `UnexpectedEof` if the peer sends fewer bytes.
            pub fn read_exact(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>> {
                ReadHalf::read_exact(self, buf)
            }

            /// Reads to the end, at most `bytes_max` bytes. Not cancel safe: see
            /// [`ReadHalf::read_all`].
            ///
            /// # Errors
            /// As [`ReadHalf::read_all`]: `InvalidData` for a longer stream.
            #[doc(alias = "read_to_end")]
            pub fn read_all(&self, bytes_max: usize) -> impl Future<Output = io::Result<Vec<u8>>> {
                ReadHalf::read_all(self, bytes_max)
            }

            /// Reads text to the end, at most `bytes_max` bytes. Not cancel safe: see
            /// [`ReadHalf::read_text`].
            ///
            /// # Errors
            /// As [`ReadHalf::read_text`]: `InvalidData` for a longer stream, and for bytes that
            /// are not UTF-8.
            #[doc(alias = "read_to_string")]
            pub fn read_text(&self, bytes_max: usize) -> impl Future<Output = io::Result<String>> {
                ReadHalf::read_text(self, bytes_max)
            }

            /// Reads into a pooled buffer; `None` is the end. Cancel safe: see
            /// [`ReadHalf::read_chunk`].
            ///
            /// # Errors
            /// As [`ReadHalf::poll_read`].
            #[inline]
            #[doc(alias = "read_buf")]
            pub fn read_chunk(&self) -> impl Future<Output = io::Result<Option<Chunk>>> {
                ReadHalf::read_chunk(self)
            }

            /// The lines of this stream, each of at most `bytes_max` bytes without its end. Their
            /// [`next`](Lines::next) is cancel safe, and other tasks can write meanwhile.
            pub fn lines(&self, bytes_max: usize) -> Lines<&Self> {
                Lines::new(self, bytes_max)
            }

            /// The frames of this stream, each behind its length and of at most `bytes_max` bytes.
            /// Their [`next`](Frames::next) is cancel safe, and other tasks can write meanwhile.
            #[doc(alias = "LengthDelimitedCodec")]
            pub fn frames(&self, prefix: LengthPrefix, bytes_max: usize) -> Frames<&Self> {
                Frames::new(self, prefix, bytes_max)
            }
        }
    )+ };
}

macro_rules! writes {
    ($($stream:ty),+) => { $(
        impl $stream {
            /// Writes as much as the kernel takes, at least one byte. Cancel safe: see
            /// [`WriteHalf::write`].
            ///
            /// # Errors
            /// As [`WriteHalf::poll_write`].
            #[inline]
            pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
                WriteHalf::write(self, buf)
            }

            /// Writes as much of several buffers as the kernel takes. Cancel safe: see
            /// [`WriteHalf::write_vectored`].
            ///
            /// # Errors
            /// As [`WriteHalf::poll_write`].
            pub fn write_vectored(
                &self,
                bufs: &[IoSlice<'_>],
            ) -> impl Future<Output = io::Result<usize>> {
                WriteHalf::write_vectored(self, bufs)
            }

            /// Waits until the kernel takes bytes. Cancel safe: see [`WriteHalf::writable`].
            ///
            /// # Errors
            /// As [`WriteHalf::writable`].
            pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
                WriteHalf::writable(self)
            }

            /// Writes without waiting: see [`WriteHalf::try_write`].
            ///
            /// # Errors
            /// As [`WriteHalf::try_write`]: `WouldBlock` while the kernel takes nothing.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                WriteHalf::try_write(self, buf)
            }

            /// Writes all bytes. Not cancel safe: see [`WriteHalf::write_all`].
            ///
            /// # Errors
            /// As [`WriteHalf::poll_write`].
            #[inline]
            pub fn write_all(&self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
                WriteHalf::write_all(self, buf)
            }

            /// Waits until the kernel holds all written bytes. Cancel safe: see
            /// [`WriteHalf::flush`].
            ///
            /// # Errors
            /// As [`WriteHalf::poll_flush`].
            pub fn flush(&self) -> impl Future<Output = io::Result<()>> {
                WriteHalf::flush(self)
            }

            /// A writer of frames, each behind its length and of at most `bytes_max` bytes. Its
            /// [`write`](FrameWriter::write) is cancel safe: frames stay whole.
            #[doc(alias = "LengthDelimitedCodec")]
            pub fn frame_writer(
                &self,
                prefix: LengthPrefix,
                bytes_max: usize,
            ) -> FrameWriter<&Self> {
                FrameWriter::new(self, prefix, bytes_max)
            }
        }
    )+ };
}

macro_rules! splits {
    ($($stream:ty),+) => { $(
        impl $stream {
            /// Splits the connection into two values, for code that takes a direction by value:
            /// tokio's `into_split`. Tasks that share a connection need no split: reads and writes
            /// take `&self`, so a reference will do, or an [`Rc`](std::rc::Rc).
            ///
            /// Dropping the writing half sends the end; dropping both closes the connection.
            ///
            /// ```
            /// use oneloop::aio::{UnixStream, block_on, spawn};
            /// # fn main() -> std::io::Result<()> {
            /// block_on(async {
            ///     let (client, server) = UnixStream::pair()?;
            ///     let (reader, writer) = client.into_split();
            ///     let answer = spawn(async move { reader.read_text(80).await });
            ///     writer.write_all(b"hello").await?;
            ///     drop(writer);
            ///     let request = server.read_text(80).await?; // until the end
            ///     server.write_all(request.to_uppercase().as_bytes()).await?;
            ///     drop(server);
            ///     assert_eq!(answer.await??, "HELLO");
            ///     Ok(())
            /// })
            /// # }
            /// ```
            #[doc(alias("split", "try_clone"))]
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                into_split(self)
            }
        }
    )+ };
}

// Code that is generic over a half calls the methods of the traits.
splits!(Socket, TcpStream, UnixStream);
reads!(Socket, TcpStream, UnixStream, PipeReader, Input, Tty);
reads!(
    OwnedReadHalf<Socket>,
    OwnedReadHalf<TcpStream>,
    OwnedReadHalf<UnixStream>
);
writes!(Socket, TcpStream, UnixStream, PipeWriter, Output, Tty);
writes!(
    OwnedWriteHalf<Socket>,
    OwnedWriteHalf<TcpStream>,
    OwnedWriteHalf<UnixStream>
);
