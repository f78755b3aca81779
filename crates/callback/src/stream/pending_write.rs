//! Bytes of one write that the kernel has not taken yet.

use std::collections::VecDeque;
use std::io::IoSlice;

/// The largest number of pieces that one system call writes.
// writev(2) takes up to 1,024, which would be 16 KiB of stack for each write.
const SLICES_MAX: usize = 64;

/// A piece that holds fewer bytes than this is not worth a smaller allocation.
const SHRUNK_BYTES_MIN: usize = 4096;

/// The unwritten bytes of a write. They are copied, because the caller's buffers are only borrowed.
pub(crate) struct PendingWrite {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are written.
    skip: usize,
    left: usize,
}

impl PendingWrite {
    /// The rest of some buffers, of which the kernel has taken `written` bytes.
    pub(crate) fn rest_of(bufs: &[IoSlice<'_>], written: usize) -> Self {
        let mut write = PendingWrite {
            pieces: VecDeque::new(),
            skip: 0,
            left: 0,
        };
        let mut skip = written;
        for buf in bufs {
            let rest = &buf[skip.min(buf.len())..];
            skip = skip.saturating_sub(buf.len());
            if !rest.is_empty() {
                write.left += rest.len();
                write.pieces.push_back(rest.to_vec());
            }
        }
        write
    }

    /// Bytes that the kernel has not taken.
    pub(crate) fn bytes_left(&self) -> usize {
        self.left
    }

    pub(crate) fn is_written(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn advance(&mut self, written: usize) {
        self.left -= written;
        self.skip += written;
        while let Some(piece) = self.pieces.front()
            && piece.len() <= self.skip
        {
            self.skip -= piece.len();
            self.pieces.pop_front();
        }
        self.shrink_first();
    }

    /// A peer that takes a little at a time must not hold the whole of a large piece: once half of
    /// it is written, the rest moves to an allocation of its own size. No byte moves more than once
    /// on average.
    fn shrink_first(&mut self) {
        if let Some(piece) = self.pieces.front_mut()
            && piece.len() >= SHRUNK_BYTES_MIN
            && self.skip >= piece.len() / 2
        {
            *piece = piece[std::mem::take(&mut self.skip)..].to_vec();
        }
    }

    /// Calls a function with the first pieces.
    pub(crate) fn with_slices<T>(&self, f: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        // On the stack: collecting them would cost an allocation for each system call.
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut skip = self.skip;
        let mut pieces = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(&piece[std::mem::take(&mut skip)..]);
            pieces += 1;
        }
        f(&slices[..pieces])
    }

    /// The bytes that are left, piece by piece.
    pub(crate) fn into_pieces(mut self) -> impl Iterator<Item = Vec<u8>> {
        if let Some(first) = self.pieces.front_mut() {
            first.drain(..self.skip);
        }
        self.pieces.into_iter()
    }
}
