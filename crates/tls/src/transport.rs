//! A byte stream of ours as tokio-rustls reads and writes it.

use oneloop_core::{Direction, Source};
use oneloop_net::{ReadHalf, WriteHalf};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls;

/// The stream below a session. The session owns one clone, and the [`TlsStream`](crate::TlsStream)
/// around it another one, whose source its waits need while the session is borrowed.
///
/// A poll with [`Waker::noop`] does not wait: it makes the system call at most, and replaces no
/// task's wait.
#[derive(Debug)]
pub(crate) struct Transport<S>(Rc<Carrier<S>>);

#[derive(Debug)]
struct Carrier<S> {
    stream: S,
    /// Something was sent, be it a handshake or an alert.
    has_written: Cell<bool>,
}

impl<S> Transport<S> {
    pub(crate) fn new(stream: S) -> Self {
        Transport(Rc::new(Carrier {
            stream,
            has_written: Cell::new(false),
        }))
    }

    pub(crate) fn stream(&self) -> &S {
        &self.0.stream
    }

    pub(crate) fn has_written(&self) -> bool {
        self.0.has_written.get()
    }
}

impl<S: ReadHalf> Transport<S> {
    pub(crate) fn source(&self) -> &Source {
        self.stream().source()
    }

    /// True if a task waits until the stream takes bytes.
    pub(crate) fn is_write_awaited(&self) -> bool {
        self.source().is_waiting(Direction::Write)
    }
}

impl<S> Clone for Transport<S> {
    fn clone(&self) -> Self {
        Transport(Rc::clone(&self.0))
    }
}

/// True if the poll has a task to wake.
fn waits(cx: &Context<'_>) -> bool {
    !cx.waker().will_wake(Waker::noop())
}

/// The error of rustls inside of that of a read.
pub(crate) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The result of a call that does not wait, as that of a poll.
pub(crate) fn polled<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl<S: ReadHalf> AsyncRead for Transport<S> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buf.initialize_unfilled(); // rustls' buffer, which is initialized
        let count = ready!(if waits(cx) {
            self.stream().poll_read(cx, space)
        } else {
            polled(self.stream().try_read(space))
        })?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: WriteHalf> AsyncWrite for Transport<S> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.has_written.set(true);
        if waits(cx) {
            self.stream().poll_write(cx, buf)
        } else {
            polled(self.stream().try_write(buf))
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.has_written.set(true);
        if waits(cx) {
            return self.stream().poll_write_vectored(cx, bufs);
        }
        match self.stream().try_write_vectored(bufs) {
            Ok(0) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream().poll_flush(cx))?;
        Poll::Ready(self.stream().end())
    }
}
