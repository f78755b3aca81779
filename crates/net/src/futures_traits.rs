//! The traits of futures-io on every byte stream: the cargo feature `futures-io`.
//!
//! They cannot be implemented for every [`ReadHalf`] at once: Rust forbids that for a foreign
//! trait.

use crate::pipe::{PipeReader, PipeWriter};
use crate::socket::Socket;
use crate::stdio::{Input, Output};
use crate::stream::{ReadHalf, WriteHalf};
use crate::tcp::TcpStream;
use crate::tty::Tty;
use crate::unix::UnixStream;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

macro_rules! reads {
    ($($stream:ty),+) => { $(
        /// A library that polls this trait and gives up leaves its wait behind, which keeps the
        /// loop alive until the stream is dropped: the trait has no call that ends a wait.
        impl AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                ReadHalf::poll_read(&*self, cx, buf)
            }
        }
    )+ };
}

macro_rules! writes {
    ($($stream:ty),+) => { $(
        /// Its close sends the end of a connection. The end of a pipe is its drop: see
        /// [`WriteHalf::end`].
        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                WriteHalf::poll_write(&*self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                WriteHalf::poll_write_vectored(&*self, cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                WriteHalf::poll_flush(&*self, cx)
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.end())
            }
        }
    )+ };
}

reads!(Socket, TcpStream, UnixStream, PipeReader, Input, Tty);
writes!(Socket, TcpStream, UnixStream, PipeWriter, Output, Tty);
