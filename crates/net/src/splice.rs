//! Pipes through which `splice(2)` moves bytes that user space never sees, from a small pool.

use crate::buffer::{CHUNK_BYTES, Chunk};
use oneloop_posix::Optional;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Pipes that a thread has at most: who finds none copies through a buffer.
const OPEN_MAX: usize = 64;
/// The most fds that all copies of a thread hold together, besides those that they copy between.
pub const COPY_FDS_MAX: usize = 2 * OPEN_MAX;
/// Those that it keeps while nobody uses them.
const IDLE_MAX: usize = 8;

/// `splice(2)`: where it is refused, bytes go through a buffer.
pub(crate) static SPLICE: Optional = Optional::new();
/// `pipe2(2)`, which nothing else here needs.
static PIPE: Optional = Optional::new();

thread_local! {
    static OPEN: Cell<usize> = const { Cell::new(0) };
    static IDLE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// Both ends of a pipe, counted while they are open.
#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    fn open() -> Option<Self> {
        if OPEN.try_with(Cell::get).ok()? >= OPEN_MAX {
            return None;
        }
        let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        let opened = pipe_with(flags).inspect_err(|error| {
            PIPE.is_refused_by(&(*error).into());
        });
        let (read, write) = opened.ok()?;
        OPEN.set(OPEN.get() + 1);
        Some(Ends { read, write })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = OPEN.try_with(|open| open.set(open.get() - 1)); // the thread may be ending
    }
}

/// A pipe with bytes in it; emptied, it goes back to the thread's pool when this is dropped.
#[derive(Debug)]
pub(crate) struct SplicePipe {
    /// Empty once they went back.
    ends: Option<Ends>,
    bytes: usize,
}

impl SplicePipe {
    /// An empty pipe; none if the thread has as many as it may, if there are no fds, or if a
    /// sandbox refuses what it takes.
    pub(crate) fn take() -> Option<Self> {
        if !SPLICE.is_available() || !PIPE.is_available() {
            return None;
        }
        let idle = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()?;
        let ends = match idle {
            Some(ends) => ends,
            None => Ends::open()?,
        };
        Some(SplicePipe {
            ends: Some(ends),
            bytes: 0,
        })
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("they go back in the drop")
    }

    /// How much is in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves some bytes of a stream into the pipe, which has to be empty: so `EAGAIN` can only mean
    /// that the stream has no more. 0 bytes are its end.
    pub(crate) fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<usize> {
        debug_assert_eq!(self.bytes, 0, "whose EAGAIN would it be?");
        let to = &self.ends().write;
        self.bytes = splice(from, None, to, None, CHUNK_BYTES, flags())?;
        Ok(self.bytes)
    }

    /// Moves some of the bytes in it, of which there have to be some, to a stream: so `EAGAIN` can
    /// only mean that the stream takes no more.
    pub(crate) fn empty(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        debug_assert_ne!(self.bytes, 0, "whose EAGAIN would it be?");
        // Never more than there is: older kernels take that for a promise, and hold the last
        // segment.
        let count = splice(&self.ends().read, None, to, None, self.bytes, flags())?;
        self.bytes -= count;
        Ok(count)
    }

    /// What is in it, for a stream that does not take part.
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
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

impl Drop for SplicePipe {
    fn drop(&mut self) {
        let ends = self.ends.take();
        if self.bytes > 0 {
            return; // somebody's bytes are in it
        }
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
    fn an_emptied_pipe_is_the_next_one() {
        let (mut a, b) = pair();
        a.write_all(b"hello").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        let read = format!("{:?}", pipe.ends().read);
        assert_eq!(pipe.fill(b.as_fd()).unwrap(), 5);
        assert_eq!(pipe.empty(b.as_fd()).unwrap(), 5);
        drop(pipe);
        let again = SplicePipe::take().unwrap();
        assert_eq!(format!("{:?}", again.ends().read), read);
        let mut heard = [0; 5];
        a.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_never_reused() {
        let (mut a, b) = pair();
        a.write_all(b"secret").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        pipe.fill(b.as_fd()).unwrap();
        let before = OPEN.get();
        drop(pipe);
        assert_eq!((OPEN.get(), IDLE.with_borrow(Vec::len)), (before - 1, 0));
    }

    #[test]
    fn what_is_in_a_pipe_can_be_had_as_a_chunk() {
        let (mut a, b) = pair();
        a.write_all(b"hello").unwrap();
        let mut pipe = SplicePipe::take().unwrap();
        pipe.fill(b.as_fd()).unwrap();
        assert_eq!(&*pipe.into_chunk().unwrap(), b"hello");
    }

    #[test]
    fn a_thread_has_so_many_pipes_and_no_more() {
        let pipes: Vec<_> = std::iter::from_fn(SplicePipe::take).collect();
        assert_eq!(pipes.len(), OPEN_MAX);
        drop(pipes);
        assert_eq!(
            (OPEN.get(), IDLE.with_borrow(Vec::len)),
            (IDLE_MAX, IDLE_MAX)
        );
    }
}
