//! Pooled buffers, which a stream holds only while they contain bytes.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::task::Poll;

/// The maximum size of a [`Chunk`] in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The number of idle buffers that a thread keeps. Only a burst of chunks held at once needs more.
const POOLED_MAX: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read, in a buffer that returns to the thread's pool on drop.
///
/// A connection that waits holds no chunk, so it costs no buffer, and a read into a pooled buffer
/// allocates nothing. A chunk dereferences to its bytes.
#[doc(alias("Bytes", "BytesMut"))]
pub struct Chunk {
    /// Empty once the buffer has returned to the pool.
    buf: Box<[u8]>,
    len: usize,
}

impl Chunk {
    pub(crate) fn take() -> Self {
        // `try_with`: a task may be dropped by the destructor of another thread-local, after the
        // pool.
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        // Zeroed, because uninitialized memory would need unsafe code. The pool reuses the buffer,
        // so this happens once.
        let buf = pooled.unwrap_or_else(|| vec![0; CHUNK_BYTES].into_boxed_slice());
        Chunk { buf, len: 0 }
    }

    /// A copy of bytes, in a buffer of exactly their size.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Chunk {
            buf: Box::from(bytes),
            len: bytes.len(),
        }
    }

    /// The bytes behind the first `count`, moved to the front of the buffer.
    pub(crate) fn behind(mut self, count: usize) -> Self {
        self.buf.copy_within(count..self.len, 0);
        self.len -= count;
        self
    }

    /// Calls a function with a pooled buffer. The function returns the number of bytes that it
    /// wrote there, and a value of its choice.
    ///
    /// # Errors
    /// Those of the function. On an error, and when the function is pending, the buffer returns to
    /// the pool.
    ///
    /// # Panics
    /// When the function returns more than [`CHUNK_BYTES`], the size of the buffer.
    pub fn poll_fill<T>(
        fill: impl FnOnce(&mut [u8]) -> Poll<io::Result<(usize, T)>>,
    ) -> Poll<io::Result<(Chunk, T)>> {
        let mut chunk = Chunk::take();
        fill(chunk.space()).map_ok(|(len, more)| {
            assert!(len <= CHUNK_BYTES, "{len} bytes do not fit into a chunk");
            (chunk.filled(len), more)
        })
    }

    /// The whole buffer, for a read.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.buf
    }

    /// Moves the bytes behind the first `count` to a buffer of exactly their size, unless that is
    /// more than half of this one. Pending bytes then take no more memory than they need, whatever
    /// a slow peer does.
    pub(crate) fn shrink_behind(&mut self, count: usize) -> bool {
        let rest = &self[count..];
        let shrinks = self.buf.len() / 2 >= rest.len();
        if shrinks {
            // The copy costs less than half a chunk, and a slow peer may keep the bytes for
            // minutes.
            let small = Chunk::of(rest);
            let large = std::mem::replace(self, small);
            drop(large); // returns to the pool
        }
        shrinks
    }

    /// Sets the number of bytes that were read.
    pub(crate) fn filled(mut self, len: usize) -> Self {
        self.len = len;
        self
    }
}

/// What a stream has sent, and a splitter has not taken.
#[derive(Debug, Default)]
pub(crate) struct Unsplit {
    chunk: Option<Chunk>,
    /// The number of bytes at the front of the chunk that were taken.
    at: usize,
}

impl Unsplit {
    /// Stores what was read, once everything was taken.
    pub(crate) fn put(&mut self, chunk: Chunk) {
        debug_assert!(self.chunk.is_none(), "what is there comes first");
        self.chunk = Some(chunk);
    }

    /// Takes everything.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        let at = std::mem::take(&mut self.at);
        Some(self.chunk.take()?.behind(at))
    }

    /// Calls a function, which takes bytes off the front; also without bytes.
    pub(crate) fn split<T>(&mut self, split: impl FnOnce(&mut &[u8]) -> T) -> T {
        let chunk = self.chunk.as_ref();
        let mut rest = chunk.map_or(&[][..], |chunk| &chunk[self.at..]);
        let result = split(&mut rest);
        let rest_bytes = rest.len();
        if let Some(chunk) = &mut self.chunk {
            self.at = chunk.len() - rest_bytes;
            // The caller may work on its part for long.
            if chunk.shrink_behind(self.at) {
                self.at = 0;
            }
        }
        if rest_bytes == 0 {
            (self.chunk, self.at) = (None, 0);
        }
        result
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let buf = std::mem::take(&mut self.buf);
        if buf.len() != CHUNK_BYTES {
            return; // a buffer of another size is not for the pool
        }
        // A full pool, and a thread that ends, free the buffer.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_MAX {
                pool.push(buf);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_bytes_take_no_more_memory_than_they_need() {
        let mut chunk = Chunk::take();
        chunk.space()[..3000].fill(7);
        let mut chunk = chunk.filled(3000);
        assert!(chunk.shrink_behind(1000));
        assert_eq!((chunk.buf.len(), &*chunk), (2000, &[7; 2000][..]));
        assert!(!chunk.shrink_behind(999));
        assert!(chunk.shrink_behind(1500));
        assert_eq!(&*chunk, &[7; 500]);
    }

    #[test]
    fn the_front_of_a_chunk_can_be_dropped() {
        let mut chunk = Chunk::take();
        chunk.space()[..4].copy_from_slice(b"head");
        assert_eq!(&*chunk.filled(4).behind(1), b"ead");
    }

    #[test]
    fn a_dropped_chunk_is_reused() {
        let first = Chunk::take();
        let address = first.buf.as_ptr();
        drop(first);
        let again = Chunk::take().filled(3);
        assert_eq!((again.buf.as_ptr(), again.len()), (address, 3));
        let many: Vec<_> = (0..2 * POOLED_MAX).map(|_| Chunk::take()).collect();
        drop(many);
        assert_eq!(POOL.with_borrow(Vec::len), POOLED_MAX);
    }
}
