//! Bytes on their way to a client who does not take them as fast as they come.

use bytes::{Buf, BytesMut};
use oneloop::net::Socket;
use std::io;
use std::task::{Context, Poll, ready};

/// What waits to be sent; without memory of its own while nothing does.
#[derive(Debug, Default)]
pub(crate) struct Output {
    waiting: BytesMut,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The bytes that wait, to be added to.
    pub(crate) fn waiting(&mut self) -> &mut BytesMut {
        &mut self.waiting
    }

    /// Sends as much as the kernel takes now; the rest waits. Gives the count of what was sent.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        mut bytes: &[u8],
    ) -> io::Result<usize> {
        let mut sent = 0;
        while self.is_empty() && !bytes.is_empty() {
            let Poll::Ready(count) = socket.poll_write(cx, bytes)? else {
                break;
            };
            bytes = &bytes[count..];
            sent += count;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(sent)
    }

    /// Sends some of what waits. Ready, with the count, when something was sent.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(socket.poll_write(cx, &self.waiting))?;
        self.waiting.advance(count);
        if self.waiting.is_empty() {
            self.waiting = BytesMut::new();
        }
        Poll::Ready(Ok(count))
    }
}
