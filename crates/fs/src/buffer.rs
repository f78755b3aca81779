//! Buffers that go to the pool and come back: the pool cannot have what the caller only lends.

use std::cell::RefCell;

/// The most bytes that one job moves.
pub(crate) const JOB_BYTES_MAX: usize = 256 * 1024;

/// So many buffers are kept for the next jobs.
const SPARES_MAX: usize = 8;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of so many bytes, whatever is in them.
pub(crate) fn take(bytes: usize) -> Vec<u8> {
    let spare = SPARES.with_borrow_mut(Vec::pop);
    let mut buf = spare.unwrap_or_default();
    buf.resize(bytes, 0);
    buf
}

/// A buffer with those bytes in it.
pub(crate) fn take_with(bytes: &[u8]) -> Vec<u8> {
    let spare = SPARES.with_borrow_mut(Vec::pop);
    let mut buf = spare.unwrap_or_default();
    buf.clear();
    buf.extend_from_slice(bytes);
    buf
}

/// Keeps a buffer for the next job.
pub(crate) fn give_back(buf: Vec<u8>) {
    SPARES.with_borrow_mut(|spares| {
        if spares.len() < SPARES_MAX && buf.capacity() <= JOB_BYTES_MAX {
            spares.push(buf);
        }
    });
}
