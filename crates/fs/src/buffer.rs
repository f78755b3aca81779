//! Buffers for jobs of the pool: a job cannot borrow its caller's buffer, which may be dropped
//! first.

use std::cell::RefCell;

/// The maximum number of bytes that one job moves.
// At this size the way to a thread and back, some ten microseconds, costs less than the copy.
pub(crate) const JOB_BYTES_MAX: usize = 256 * 1024;

/// The maximum number of spare buffers: at most 2 MiB per thread, and few jobs run at once.
const SPARES_MAX: usize = 8;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Returns a buffer of `bytes` bytes, whose contents are unspecified.
pub(crate) fn take(bytes: usize) -> Vec<u8> {
    let spare = SPARES.with_borrow_mut(Vec::pop);
    let mut buf = spare.unwrap_or_default();
    buf.resize(bytes, 0); // zeroes only what the last job did not use
    buf
}

/// Returns a buffer with a copy of `bytes`.
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
