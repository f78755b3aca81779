//! The traits of futures-io on every byte stream: the cargo feature `futures-io`.
//!
//! They are implemented for references, too, as `std::io::Read` is for `&std::net::TcpStream`. They
//! cannot be implemented for every [`ReadHalf`] at once: Rust forbids that for a foreign trait.

use crate::owned_halves::{OwnedReadHalf, OwnedWriteHalf};
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
        reads!(in $stream, as $stream);
        reads!(in &$stream, as $stream);
    )+ };
    (in $self:ty, as $stream:ty) => {
        /// A library that polls this trait and gives up leaves its wait behind, which keeps the
        /// loop alive until the stream is dropped: the trait has no call that ends a wait.
        impl AsyncRead for $self {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let stream: &$stream = &self;
                ReadHalf::poll_read(stream, cx, buf)
            }
        }
    };
}

macro_rules! writes {
    ($($stream:ty),+) => { $(
        writes!(in $stream, as $stream);
        writes!(in &$stream, as $stream);
    )+ };
    (in $self:ty, as $stream:ty) => {
        /// Its close sends the end of a connection. The end of a pipe is its drop: see
        /// [`WriteHalf::end`].
        impl AsyncWrite for $self {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let stream: &$stream = &self;
                WriteHalf::poll_write(stream, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let stream: &$stream = &self;
                WriteHalf::poll_write_vectored(stream, cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = &self;
                WriteHalf::poll_flush(stream, cx)
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = &self;
                Poll::Ready(stream.end())
            }
        }
    };
}

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
