//! Bytes on their way to a client who does not take them as fast as they come.

use bytes::{Buf, Bytes};
use oneloop::net::{Socket, WriteHalf};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// How many pieces one system call sends at most.
const PIECES_MAX: usize = 16;

/// What waits to be sent, in pieces that may be shared with other clients; without memory of its own
/// while nothing waits.
#[derive(Debug, Default)]
pub(crate) struct Output {
    waiting: VecDeque<Bytes>,
    len: usize,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has a piece wait behind the others.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.waiting.push_back(piece);
        }
    }

    /// Sends as much as the kernel takes now; the rest waits.
    pub(crate) fn send(&mut self, socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
        while self.is_empty() && !bytes.is_empty() {
            let count = socket.try_write_vectored(&[IoSlice::new(bytes)])?;
            if count == 0 {
                break;
            }
            bytes = &bytes[count..];
        }
        if !bytes.is_empty() {
            self.push(Bytes::copy_from_slice(bytes));
        }
        Ok(())
    }

    /// Sends some of what waits. Ready when something was sent.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let mut pieces = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.waiting) {
            *slice = IoSlice::new(piece);
            pieces += 1;
        }
        let count = ready!(socket.poll_write_vectored(cx, &slices[..pieces]))?;
        self.take(count);
        Poll::Ready(Ok(()))
    }

    /// Takes so many bytes off the front.
    fn take(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(piece) = self.waiting.front_mut() {
            if piece.len() > count {
                piece.advance(count);
                break;
            }
            count -= piece.len();
            self.waiting.pop_front();
        }
        if self.is_empty() {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_across_pieces() {
        let mut output = Output::default();
        output.push(Bytes::from_static(b"one"));
        output.push(Bytes::new());
        output.push(Bytes::from_static(b"two"));
        output.take(4);
        assert_eq!((output.len(), &*output.waiting[0]), (2, &b"wo"[..]));
        output.take(2);
        assert!(output.is_empty());
        assert_eq!(output.waiting.capacity(), 0);
    }
}
