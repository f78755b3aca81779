//! The operations of byte streams as inherent methods.
//!
//! [`ReadHalf`] and [`WriteHalf`] define each operation. The macros repeat their names, so that
//! `stream.read_chunk().await` needs no trait in scope.

use crate::buffer::Chunk;
use crate::lines::Lines;
use crate::pipe::{PipeReader, PipeWriter};
use crate::socket::Socket;
use crate::stdio::{Input, Output};
use crate::stream::{ReadHalf, WriteHalf};
use crate::tcp::TcpStream;
use crate::tty::Tty;
use crate::unix::UnixStream;
use std::future::Future;
use std::io;

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

            /// Reads into a pooled buffer; `None` is the end. Cancel safe: see
            /// [`ReadHalf::read_chunk`].
            ///
            /// # Errors
            /// As [`ReadHalf::poll_read`].
            #[inline]
            pub fn read_chunk(&self) -> impl Future<Output = io::Result<Option<Chunk>>> {
                ReadHalf::read_chunk(self)
            }

            /// The lines of this stream, each of at most `bytes_max` bytes without its end. Their
            /// [`next`](Lines::next) is cancel safe, and other tasks can write meanwhile.
            pub fn lines(&self, bytes_max: usize) -> Lines<&Self> {
                Lines::new(self, bytes_max)
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
        }
    )+ };
}

// Code that is generic over a half calls the methods of the traits.
reads!(Socket, TcpStream, UnixStream, PipeReader, Input, Tty);
writes!(Socket, TcpStream, UnixStream, PipeWriter, Output, Tty);
