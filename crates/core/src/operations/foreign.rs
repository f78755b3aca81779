//! Waiting for fds that belong to other code: to another library, to another loop.

use crate::mechanisms::ready::{Direction, Interest};
use crate::operations::source::Source;
use crate::state::Handle;
use crate::tasks::registration::Ownership;
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

impl Handle {
    /// Waits until an fd can be read or written without blocking, or is at its end. Cancel safe.
    ///
    /// Any kind of fd will do: a device, a socket of another library, another loop. A regular file
    /// is always ready. The fd stays the caller's, to be read by any means, and may be blocking.
    ///
    /// Each wait costs the system calls that register the fd and remove it again. For an fd that is
    /// waited for all the time, use a [`Source`].
    ///
    /// ```
    /// use oneloop::core::Direction;
    /// use oneloop::EventLoop;
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
    /// Those of `epoll_ctl(2)`, and `EMFILE` for an fd that has another waiter.
    #[doc(alias("AsyncFd", "uv_poll_t", "add_reader", "add_writer"))]
    #[doc(alias = "trampoline")]
    pub async fn wait_ready(&self, fd: impl AsFd, direction: Direction) -> io::Result<()> {
        let fd = fd.as_fd();
        match Source::new(self, fd, Interest::NONE, Ownership::Shared) {
            Ok(source) => ready(&source, direction).await,
            Err(error) => match Errno::from_io_error(&error) {
                // epoll_ctl(2): the file does not support epoll, so it never blocks.
                Some(Errno::PERM) => Ok(()),
                // epoll(7): a registration is a number and a file, so a duplicate goes beside the
                // original.
                Some(Errno::EXIST) => {
                    // Closed with this wait; removed from epoll before that, as the original stays
                    // open (`Shared`).
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
