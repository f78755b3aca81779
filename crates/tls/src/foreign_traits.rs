//! The traits by which other people's crates read and write: tokio's, futures-io's and hyper's.

use crate::stream::TlsStream;
use oneloop_net::{ReadHalf, WriteHalf};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Implements a trait to read, for the stream and its reference.
macro_rules! reads {
    (one ($trait:path, $buf:ty, $read:ty, $poll_read:path) $self:ty) => {
        impl<S: ReadHalf + WriteHalf> $trait for $self {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: $buf,
            ) -> Poll<io::Result<$read>> {
                let stream: &TlsStream<S> = &self;
                $poll_read(stream, cx, buf)
            }
        }
    };
    ($trait:path, $buf:ty => $read:ty, $poll_read:path) => {
        reads!(one ($trait, $buf, $read, $poll_read) TlsStream<S>);
        reads!(one ($trait, $buf, $read, $poll_read) &TlsStream<S>);
    };
}

/// Implements a trait to write. Its `$end` sends close_notify and the end.
macro_rules! writes {
    (one ($trait:path, $end:ident, { $($more:tt)* }) $self:ty) => {
        /// A write may leave a rest in the session: flush it. See [`TlsStream`].
        impl<S: ReadHalf + WriteHalf> $trait for $self {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let stream: &TlsStream<S> = &self;
                WriteHalf::poll_write(stream, cx, buf)
            }

            #[inline]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let stream: &TlsStream<S> = &self;
                WriteHalf::poll_write_vectored(stream, cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &TlsStream<S> = &self;
                WriteHalf::poll_flush(stream, cx)
            }

            fn $end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &TlsStream<S> = &self;
                stream.poll_shutdown(cx)
            }

            $($more)*
        }
    };
    ($trait:path, $end:ident, $more:tt) => {
        writes!(one ($trait, $end, $more) TlsStream<S>);
        writes!(one ($trait, $end, $more) &TlsStream<S>);
    };
}

mod of_futures {
    use super::*;

    reads!(futures_io::AsyncRead, &mut [u8] => usize, ReadHalf::poll_read);
    writes!(futures_io::AsyncWrite, poll_close, {});
}

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
        stream: &TlsStream<impl ReadHalf + WriteHalf>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = stream.poll_take(cx, buf.remaining(), |bytes| buf.put_slice(bytes));
        taken.map_ok(drop)
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
        stream: &TlsStream<impl ReadHalf + WriteHalf>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = stream.poll_take(cx, buf.remaining(), |bytes| buf.put_slice(bytes));
        taken.map_ok(drop)
    }
}
