//! The traits by which other crates read and write a byte stream, each family a cargo feature:
//! futures-io's (`futures-io`), tokio's (`tokio-io`) and hyper's (`hyper`).
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
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Implements a trait to read for every stream. Its `poll_read` takes a buffer, and `$poll_read`
/// reads into that.
macro_rules! reads {
    (one ($trait:path, $buf:ty, $read:ty, $poll_read:path) $self:ty, $stream:ty) => {
        /// A library that polls this trait and gives up leaves its wait behind, which keeps the
        /// loop alive until the stream is dropped: the trait has no call that ends a wait.
        impl $trait for $self {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: $buf,
            ) -> Poll<io::Result<$read>> {
                let stream: &$stream = &self;
                $poll_read(stream, cx, buf)
            }
        }
    };
    (all $the_trait:tt $($stream:ty),+) => { $(
        reads!(one $the_trait $stream, $stream);
        reads!(one $the_trait &$stream, $stream);
    )+ };
    ($trait:path, $buf:ty => $read:ty, $poll_read:path) => {
        reads!(all ($trait, $buf, $read, $poll_read)
            Socket, TcpStream, UnixStream, PipeReader, Input, Tty,
            OwnedReadHalf<Socket>, OwnedReadHalf<TcpStream>, OwnedReadHalf<UnixStream>);
    };
}

/// Implements a trait to write for every stream. Its `$end` ends the stream, and `$more` is what
/// only this trait has.
macro_rules! writes {
    (one ($trait:path, $end:ident, { $($more:tt)* }) $self:ty, $stream:ty) => {
        /// Its close sends the end of a connection. The end of a pipe is its drop: see
        /// [`WriteHalf::end`].
        impl $trait for $self {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let stream: &$stream = &self;
                WriteHalf::poll_write(stream, cx, buf)
            }

            #[inline]
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

            fn $end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = &self;
                poll_end(stream, cx)
            }

            $($more)*
        }
    };
    (all $the_trait:tt $($stream:ty),+) => { $(
        writes!(one $the_trait $stream, $stream);
        writes!(one $the_trait &$stream, $stream);
    )+ };
    ($trait:path, $end:ident, $more:tt) => {
        writes!(all ($trait, $end, $more)
            Socket, TcpStream, UnixStream, PipeWriter, Output, Tty,
            OwnedWriteHalf<Socket>, OwnedWriteHalf<TcpStream>, OwnedWriteHalf<UnixStream>);
    };
}

/// Ends a stream once all written bytes are with the kernel.
fn poll_end(stream: &impl WriteHalf, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ready!(stream.poll_flush(cx))?;
    Poll::Ready(match stream.end() {
        // A peer that has reset the connection needs no end. tokio's streams say so, too, and
        // libraries that are made for them fail otherwise.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    })
}

/// Reads at most `room` bytes, and passes them to `put`, which copies them into a foreign buffer.
///
/// The memory of such a buffer need not be initialized, and only unsafe code could let the kernel
/// write there. The bytes take the way through a pooled chunk instead, which the copy finds in the
/// CPU's cache.
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
#[inline]
fn poll_copy(
    stream: &impl ReadHalf,
    cx: &mut Context<'_>,
    room: usize,
    put: impl FnOnce(&[u8]),
) -> Poll<io::Result<()>> {
    if room > 0
        && let Some(chunk) = ready!(stream.poll_read_chunk(cx, room))?
    {
        put(&chunk);
    }
    Poll::Ready(Ok(()))
}

#[cfg(feature = "futures-io")]
mod of_futures {
    use super::*;

    reads!(futures_io::AsyncRead, &mut [u8] => usize, ReadHalf::poll_read);
    writes!(futures_io::AsyncWrite, poll_close, {});
}

#[cfg(feature = "tokio-io")]
mod of_tokio {
    use super::*;
    use tokio::io::ReadBuf;

    reads!(tokio::io::AsyncRead, &mut ReadBuf<'_> => (), poll_read);
    writes!(tokio::io::AsyncWrite, poll_shutdown, {
        fn is_write_vectored(&self) -> bool {
            true
        }
    });

    #[inline]
    fn poll_read(
        stream: &impl ReadHalf,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A caller's slice is initialized, and needs no copy.
        if buf.initialized().len() == buf.capacity() {
            let count = ready!(stream.poll_read(cx, buf.initialize_unfilled()))?;
            buf.advance(count);
            return Poll::Ready(Ok(()));
        }
        poll_copy(stream, cx, buf.remaining(), |bytes| buf.put_slice(bytes))
    }
}

#[cfg(feature = "hyper")]
mod of_hyper {
    use super::*;
    use hyper::rt::ReadBufCursor;

    reads!(hyper::rt::Read, ReadBufCursor<'_> => (), poll_read);
    writes!(hyper::rt::Write, poll_shutdown, {
        fn is_write_vectored(&self) -> bool {
            true
        }
    });

    #[inline]
    fn poll_read(
        stream: &impl ReadHalf,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        poll_copy(stream, cx, buf.remaining(), |bytes| buf.put_slice(bytes))
    }
}
