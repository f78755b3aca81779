//! Buffers that exist only while there are bytes in them.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::task::Poll;

/// The most that one [`Chunk`] holds.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Idle buffers that a thread keeps; more are needed only while as many chunks are held at once.
const POOLED_MAX: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read, in a buffer that goes back to the thread's pool when this is dropped.
///
/// A connection that waits holds no chunk, so it costs no buffer; and a read into a pooled one
/// allocates nothing. It dereferences to the bytes.
pub struct Chunk {
    /// Empty once it went back.
    buf: Box<[u8]>,
    len: usize,
}

impl Chunk {
    pub(crate) fn take() -> Self {
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        let buf = pooled.unwrap_or_else(|| vec![0; CHUNK_BYTES].into_boxed_slice());
        Chunk { buf, len: 0 }
    }

    /// Has a function read into a pooled buffer, and say how many bytes it put there, and more.
    ///
    /// # Errors
    /// Those of the function; the buffer goes back then, and when it is pending.
    ///
    /// # Panics
    /// When it says that there are more bytes than the [`CHUNK_BYTES`] that it was given.
    pub fn poll_fill<T>(
        fill: impl FnOnce(&mut [u8]) -> Poll<io::Result<(usize, T)>>,
    ) -> Poll<io::Result<(Chunk, T)>> {
        let mut chunk = Chunk::take();
        fill(chunk.space()).map_ok(|(len, more)| {
            assert!(len <= CHUNK_BYTES, "{len} bytes do not fit into a chunk");
            (chunk.filled(len), more)
        })
    }

    /// The whole buffer, to be read into.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.buf
    }

    /// Moves what is behind so many bytes to a buffer of its own size, if this one is twice as
    /// large or more: bytes that wait are to take no more memory than they are.
    pub(crate) fn shrink_behind(&mut self, count: usize) -> bool {
        let rest = &self[count..];
        let shrinks = self.buf.len() / 2 >= rest.len();
        if shrinks {
            let (buf, len) = (Box::from(rest), rest.len());
            let large = std::mem::replace(self, Chunk { buf, len });
            drop(large); // it goes back to the pool
        }
        shrinks
    }

    /// Says how many bytes were read into it.
    pub(crate) fn filled(mut self, len: usize) -> Self {
        self.len = len;
        self
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
        if buf.len() < CHUNK_BYTES {
            return; // it has held what waited
        }
        // Too many, or the thread ends: the buffer is freed.
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
    fn what_waits_takes_no_more_memory_than_it_is() {
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
    fn a_dropped_chunk_is_the_next_one() {
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
