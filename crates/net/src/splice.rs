//! A small pool of pipes through which `splice(2)` moves bytes without copying them to user space.

use crate::buffer::Chunk;
use oneloop_posix::Optional;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The maximum number of pipes of a thread. A copy that finds none goes through a buffer.
const OPEN_MAX: usize = 64;
/// The maximum number of fds that all copies of a thread hold together, besides those of their
/// streams.
pub const COPY_FDS_MAX: usize = 2 * OPEN_MAX;
/// The maximum number of unused pipes that a thread keeps.
const IDLE_MAX: usize = 8;

/// `splice(2)`. Where it is refused, bytes go through a buffer.
pub(crate) static SPLICE: Optional = Optional::new();
/// `pipe2(2)`. Where it is refused, bytes go through a buffer, too.
static PIPE: Optional = Optional::new();

thread_local! {
    static OPEN: Cell<usize> = const { Cell::new(0) };
    static IDLE: RefCell<Vec<PipeEnds>> = const { RefCell::new(Vec::new()) };
}

/// Both ends of a pipe, counted while they are open.
#[derive(Debug)]
struct PipeEnds {
    read: OwnedFd,
    write: OwnedFd,
}

impl PipeEnds {
    fn open() -> Option<Self> {
        // Bounded: a server with thousands of bulk copies would spend its fds on pipes.
        if OPEN.try_with(Cell::get).ok()? >= OPEN_MAX {
            return None;
        }
        let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        // EMFILE is not an error of the copy: without a pipe it goes through a buffer.
        let opened = pipe_with(flags).inspect_err(|error| {
            PIPE.is_refused_by(&(*error).into());
        });
        let (read, write) = opened.ok()?;
        OPEN.set(OPEN.get() + 1);
        Some(PipeEnds { read, write })
    }
}

impl Drop for PipeEnds {
    fn drop(&mut self) {
        let _ = OPEN.try_with(|open| open.set(open.get() - 1)); // no counter once the thread ends
    }
}

/// A pipe from the pool. Its drop returns it to the pool if it is empty.
#[derive(Debug)]
pub(crate) struct SplicePipe {
    /// `None` once the ends have returned to the pool.
    ends: Option<PipeEnds>,
    /// The number of bytes in the pipe.
    bytes: usize,
}

impl SplicePipe {
    /// An empty pipe; `None` if the thread has its maximum, if there are no fds, or if a sandbox
    /// refuses the system calls.
    pub(crate) fn take() -> Option<Self> {
        if !SPLICE.is_available() || !PIPE.is_available() {
            return None;
        }
        let idle = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()?;
        let ends = match idle {
            Some(ends) => ends,
            None => PipeEnds::open()?,
        };
        Some(SplicePipe {
            ends: Some(ends),
            bytes: 0,
        })
    }

    fn ends(&self) -> &PipeEnds {
        self.ends.as_ref().expect("only the drop takes them")
    }

    /// The number of bytes in the pipe.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves some bytes of a stream into the pipe, at most `bytes_max`. 0 bytes are the end of the
    /// stream. The pipe has to be empty, so that `EAGAIN` can only mean that the stream has no
    /// bytes.
    pub(crate) fn fill(&mut self, from: BorrowedFd<'_>, bytes_max: usize) -> io::Result<usize> {
        // splice(2) returns EAGAIN for an empty stream as well as for a full pipe.
        debug_assert_eq!(self.bytes, 0, "EAGAIN would be ambiguous");
        let to = &self.ends().write;
        self.bytes = splice(from, None, to, None, bytes_max, flags())?;
        Ok(self.bytes)
    }

    /// Moves some bytes of the pipe to a stream, at most `bytes_max`. The pipe must not be empty, so
    /// that `EAGAIN` can only mean that the stream has no room.
    pub(crate) fn empty(&mut self, to: BorrowedFd<'_>, bytes_max: usize) -> io::Result<usize> {
        debug_assert_ne!(self.bytes, 0, "EAGAIN would be ambiguous");
        // Never more than the pipe holds: older kernels take a larger length for MSG_MORE, and
        // delay the last segment.
        let bytes_max = self.bytes.min(bytes_max);
        let count = splice(&self.ends().read, None, to, None, bytes_max, flags())?;
        self.bytes -= count;
        Ok(count)
    }

    /// Reads the bytes in the pipe, for a stream that takes no splice.
    pub(crate) fn into_chunk(mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk::take();
        let mut filled = 0;
        while self.bytes > 0 {
            let space = &mut chunk.space()[filled..];
            match rustix::io::read(&self.ends().read, space) {
                Ok(count) => {
                    filled += count;
                    self.bytes -= count;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(chunk.filled(filled))
    }
}

fn flags() -> SpliceFlags {
    // splice(2): NONBLOCK concerns only the pipe; the streams are non-blocking themselves. MOVE is
    // a hint.
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

impl Drop for SplicePipe {
    fn drop(&mut self) {
        let ends = self.ends.take();
        if self.bytes > 0 {
            return; // closed: the next owner must not get the bytes of this one
        }
        // A few stay open: pipe2(2) and two close(2) would cost more than a small bulk copy saves.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < IDLE_MAX {
                idle.extend(ends);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::CHUNK_BYTES;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, UnixStream) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        (a.into(), b.into())
    }

    #[test]
    fn an_emptied_pipe_is_reused() {
        let (mut a, b) = pair();
        a.write_all(b"hello").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        let read = format!("{:?}", pipe.ends().read);
        assert_eq!(pipe.fill(b.as_fd(), CHUNK_BYTES).unwrap(), 5);
        assert_eq!(pipe.empty(b.as_fd(), 5).unwrap(), 5);
        drop(pipe);
        let again = SplicePipe::take().unwrap();
        assert_eq!(format!("{:?}", again.ends().read), read);
        let mut received = [0; 5];
        a.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_never_reused() {
        let (mut a, b) = pair();
        a.write_all(b"secret").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        pipe.fill(b.as_fd(), CHUNK_BYTES).unwrap();
        let before = OPEN.get();
        drop(pipe);
        assert_eq!((OPEN.get(), IDLE.with_borrow(Vec::len)), (before - 1, 0));
    }

    #[test]
    fn the_bytes_in_a_pipe_can_be_read_into_a_chunk() {
        let (mut a, b) = pair();
        a.write_all(b"hello").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        pipe.fill(b.as_fd(), CHUNK_BYTES).unwrap();
        assert_eq!(&*pipe.into_chunk().unwrap(), b"hello");
    }

    #[test]
    fn a_thread_has_at_most_64_pipes() {
        let pipes: Vec<_> = std::iter::from_fn(SplicePipe::take).collect();
        assert_eq!(pipes.len(), OPEN_MAX);
        drop(pipes);
        assert_eq!(
            (OPEN.get(), IDLE.with_borrow(Vec::len)),
            (IDLE_MAX, IDLE_MAX)
        );
    }
}
