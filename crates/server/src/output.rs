//! Bytes on their way to a client who does not take them as fast as they come.

use crate::budget::{Budget, Crowded, Queued};
use oneloop::net::{Socket, WriteHalf};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A queue that takes less memory than this is left as it is.
const SHRUNK_BYTES_MIN: usize = 4096;

/// What waits to be sent; without memory of its own while nothing waits.
#[derive(Debug, Default)]
pub(crate) struct Output {
    waiting: Option<Box<Waiting>>,
}

/// Never empty.
#[derive(Debug, Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    /// Its part of the budget, once the client has had to wait.
    queued: Option<Queued>,
}

impl Output {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.waiting
            .as_ref()
            .map_or(0, |waiting| waiting.bytes.len())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Has bytes wait behind the others.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let waiting = self.waiting.get_or_insert_default();
            if waiting.bytes.is_empty() {
                waiting.bytes.reserve_exact(bytes.len()); // most queues are a part of one read
            }
            waiting.bytes.extend(bytes);
        }
    }

    /// Sends as much as the kernel takes now, and tells how much that is; the rest waits.
    #[inline]
    pub(crate) fn send(&mut self, socket: &Socket, mut bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while self.is_empty() && !bytes.is_empty() {
            let count = socket.try_write_vectored(&[IoSlice::new(bytes)])?;
            if count == 0 {
                break;
            }
            sent += count;
            bytes = &bytes[count..];
        }
        if !bytes.is_empty() {
            self.push(bytes);
        }
        Ok(sent)
    }

    /// Sends some of what waits. Ready with how much was sent.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
    ) -> Poll<io::Result<usize>> {
        let Some(waiting) = &self.waiting else {
            return Poll::Ready(Ok(0));
        };
        let (front, back) = waiting.bytes.as_slices();
        let slices = [IoSlice::new(front), IoSlice::new(back)];
        let count = ready!(socket.poll_write_vectored(cx, &slices))?;
        self.take(count);
        Poll::Ready(Ok(count))
    }

    /// Takes so many bytes off the front.
    fn take(&mut self, count: usize) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let bytes = &mut waiting.bytes;
        bytes.drain(..count);
        let (len, capacity) = (bytes.len(), bytes.capacity());
        if len == 0 {
            self.waiting = None;
        } else if len <= capacity / 2 && capacity >= SHRUNK_BYTES_MIN {
            bytes.shrink_to_fit(); // no byte moves more than once on average
        }
    }

    /// Tells the budget how many bytes wait.
    ///
    /// # Errors
    /// The client has to go.
    #[inline]
    pub(crate) fn note(
        &mut self,
        cx: &mut Context<'_>,
        budget: &Arc<Budget>,
    ) -> Result<(), Crowded> {
        match self.waiting.as_deref_mut() {
            Some(Waiting { bytes, queued }) => budget.note(queued, bytes.len(), cx.waker()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_gives_its_memory_back() {
        let mut output = Output::default();
        output.push(&[1; 8 * SHRUNK_BYTES_MIN]);
        output.push(&[]);
        output.push(&[2; 5]);
        output.take(8 * SHRUNK_BYTES_MIN);
        let bytes = &output.waiting.as_ref().unwrap().bytes;
        assert_eq!((output.len(), bytes.capacity()), (5, 5));
        assert_eq!(bytes.iter().copied().collect::<Vec<_>>(), [2; 5]);
        output.take(5);
        assert!(output.is_empty());
    }

    #[test]
    fn a_client_for_which_nothing_waits_costs_one_word() {
        assert_eq!(size_of::<Output>(), size_of::<usize>());
    }
}
