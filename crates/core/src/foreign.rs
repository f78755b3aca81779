//! Waiting for fds that are somebody else's: another library's, another loop's.

use crate::handle::Handle;
use crate::ready::{Direction, Interest};
use crate::source::{Ownership, Source};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

impl Handle {
    /// Waits until an fd can be read, or written, without blocking, or is at its end. Any kind of fd will
    /// do: a device, a socket of another library, another loop; a regular file always can. It stays the
    /// caller's, who may read it by whatever means; it need not be non-blocking for this.
    ///
    /// Each wait takes the system calls to register the fd and to take it out again: what is waited for
    /// all the time is better a [`Source`] of its own. Cancel safe.
    ///
    /// ```
    /// use oneloop_core::{Direction, EventLoop};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// let (mut here, mut there) = UnixStream::pair()?;
    /// let mut event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// here.write_all(b"x")?;
    /// event_loop.block_on(handle.wait_ready(&there, Direction::Read))?;
    /// there.read_exact(&mut [0])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`, and `EMFILE` for an fd that somebody else waits for.
    pub async fn wait_ready(&self, fd: impl AsFd, direction: Direction) -> io::Result<()> {
        let fd = fd.as_fd();
        match Source::new(self, fd, Interest::NONE, Ownership::Shared) {
            Ok(source) => ready(&source, direction).await,
            Err(error) => match Errno::from_io_error(&error) {
                // epoll(7): a file that is always ready.
                Some(Errno::PERM) => Ok(()),
                // epoll knows fds by number and file: a duplicate can be registered beside the original.
                Some(Errno::EXIST) => {
                    let fd = fd.try_clone_to_owned()?;
                    let source = Source::new(self, fd, Interest::NONE, Ownership::Shared)?;
                    ready(&source, direction).await
                }
                _ => Err(error),
            },
        }
    }
}

async fn ready<F: AsFd>(source: &Source<F>, direction: Direction) -> io::Result<()> {
    let wait = source.io(direction, |cx| source.poll_ready(cx, direction));
    wait.await
}
