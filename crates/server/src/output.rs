//! Bytes that wait for a client which does not take them as fast as they come.

use crate::budget::{Budget, BudgetShare, OverBudget};
use oneloop::net::{Socket, WriteHalf};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A queue that takes less memory than this is not shrunk: a reallocation costs more than it frees.
const SHRUNK_BYTES_MIN: usize = 4096;

/// The bytes that wait to be sent: one word while there are none, as for most clients at most
/// times.
#[derive(Debug, Default)]
pub(crate) struct Output {
    backlog: Option<Box<Backlog>>,
}

/// What waits; never empty.
#[derive(Debug, Default)]
struct Backlog {
    bytes: VecDeque<u8>,
    /// The client's share of the budget, once a poll has ended with bytes that wait.
    share: Option<BudgetShare>,
}

impl Output {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.backlog
            .as_ref()
            .map_or(0, |backlog| backlog.bytes.len())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_none()
    }

    /// Queues bytes behind those that wait already.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let backlog = self.backlog.get_or_insert_default();
            if backlog.bytes.is_empty() {
                backlog.bytes.reserve_exact(bytes.len()); // most queues are the rest of one read, and never grow
            }
            backlog.bytes.extend(bytes);
        }
    }

    /// Sends what the kernel takes now, and queues the rest. Returns how many bytes were sent.
    #[inline]
    pub(crate) fn send(&mut self, socket: &Socket, mut bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        // Behind queued bytes nothing may be sent, or the stream would be reordered.
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

    /// Sends some of what waits. Ready with how many bytes were sent.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
    ) -> Poll<io::Result<usize>> {
        let Some(backlog) = &self.backlog else {
            return Poll::Ready(Ok(0));
        };
        let (front, back) = backlog.bytes.as_slices();
        // A VecDeque has its bytes in two runs: one writev(2) sends both.
        let slices = [IoSlice::new(front), IoSlice::new(back)];
        let count = ready!(socket.poll_write_vectored(cx, &slices))?;
        self.take(count);
        Poll::Ready(Ok(count))
    }

    /// Removes `count` bytes from the front.
    fn take(&mut self, count: usize) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let bytes = &mut backlog.bytes;
        bytes.drain(..count);
        let (len, capacity) = (bytes.len(), bytes.capacity());
        // Freed, not kept: most clients that had to wait once never have to again.
        if len == 0 {
            self.backlog = None;
        } else if len <= capacity / 2 && capacity >= SHRUNK_BYTES_MIN {
            bytes.shrink_to_fit(); // halving means that no byte moves more than once on average
        }
    }

    /// Reports to the budget how many bytes wait.
    ///
    /// # Errors
    /// The client is over the budget.
    #[inline]
    pub(crate) fn note(
        &mut self,
        cx: &mut Context<'_>,
        budget: &Arc<Budget>,
    ) -> Result<(), OverBudget> {
        match self.backlog.as_deref_mut() {
            Some(Backlog { bytes, share }) => budget.note(share, bytes.len(), cx.waker()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_taken_free_their_memory() {
        let mut output = Output::default();
        output.push(&[1; 8 * SHRUNK_BYTES_MIN]);
        output.push(&[]);
        output.push(&[2; 5]);
        output.take(8 * SHRUNK_BYTES_MIN);
        let bytes = &output.backlog.as_ref().unwrap().bytes;
        assert_eq!((output.len(), bytes.capacity()), (5, 5));
        assert_eq!(bytes.iter().copied().collect::<Vec<_>>(), [2; 5]);
        output.take(5);
        assert!(output.is_empty());
    }

    #[test]
    fn a_client_without_a_queue_costs_one_word() {
        assert_eq!(size_of::<Output>(), size_of::<usize>());
    }
}
