//! The traits by which other crates read and write, for local streams: futures-io's, tokio's (the
//! cargo feature `tokio-io`) and hyper's (`hyper`).

use crate::local::Local;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Implements a trait to read. Its `poll_read` takes a buffer; `$more` is what only this trait has.
macro_rules! reads {
    ($trait:path, $buf:ty => $read:ty, { $($more:tt)* }) => {
        /// See [`local()`](crate::local()).
        impl<S: $trait> $trait for Local<S> {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: $buf,
            ) -> Poll<io::Result<$read>> {
                self.with(|stream| stream.poll_read(cx, buf))
            }

            $($more)*
        }
    };
}

/// Implements a trait to write. Its `$end` ends the stream; `$more` is what only this trait has.
macro_rules! writes {
    ($trait:path, $end:ident, { $($more:tt)* }) => {
        /// See [`local()`](crate::local()).
        impl<S: $trait> $trait for Local<S> {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.with(|stream| stream.poll_write(cx, buf))
            }

            #[inline]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.with(|stream| stream.poll_write_vectored(cx, bufs))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.with(|stream| stream.poll_flush(cx))
            }

            fn $end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.with(|stream| stream.$end(cx))
            }

            $($more)*
        }
    };
}

reads!(futures_io::AsyncRead, &mut [u8] => usize, {
    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_read_vectored(cx, bufs))
    }
});
writes!(futures_io::AsyncWrite, poll_close, {});

#[cfg(feature = "tokio-io")]
reads!(tokio::io::AsyncRead, &mut tokio::io::ReadBuf<'_> => (), {});
#[cfg(feature = "tokio-io")]
writes!(tokio::io::AsyncWrite, poll_shutdown, {
    fn is_write_vectored(&self) -> bool {
        self.with(|stream| stream.is_write_vectored())
    }
});

#[cfg(feature = "hyper")]
reads!(hyper::rt::Read, hyper::rt::ReadBufCursor<'_> => (), {});
#[cfg(feature = "hyper")]
writes!(hyper::rt::Write, poll_shutdown, {
    fn is_write_vectored(&self) -> bool {
        self.with(|stream| stream.is_write_vectored())
    }
});
