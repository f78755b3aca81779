//! A connected byte stream of any family: the way of a byte between user code and the kernel.

use crate::addr::Addr;
use crate::connecting::{Connecting, Unconnected};
use crate::keepalive::{self, Keepalive};
use crate::stream::{AsSource, ByteStream, ReadHalf, WriteHalf};
use oneloop_core::{Direction, Handle, Interest, Ownership, Source};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, sockopt};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub use std::net::Shutdown;

/// How every socket of ours is opened.
pub(crate) const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A connected stream socket on a loop.
///
/// It is read and written as [`ReadHalf`] and [`WriteHalf`] say. Dropping the socket closes it; the kernel
/// goes on sending what it has taken, unless unread input makes it send a reset.
#[derive(Debug)]
pub struct Socket {
    source: Source,
}

impl Socket {
    /// A socket that is connected already. It must be non-blocking.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`; the fd is closed then.
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(handle, fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write); // a fresh socket takes bytes
        Ok(Socket { source })
    }

    /// Like [`Socket::from_fd`], for a Unix socket: its reads stop behind messages that carry fds.
    ///
    /// # Errors
    /// As [`Socket::from_fd`].
    pub fn from_unix_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let Socket { source } = Socket::from_fd(handle, fd)?;
        Ok(Socket {
            source: source.reads_in_parts(),
        })
    }

    pub(crate) fn of_family(
        family: AddressFamily,
        handle: &Handle,
        fd: OwnedFd,
    ) -> io::Result<Self> {
        if family == AddressFamily::UNIX {
            Socket::from_unix_fd(handle, fd)
        } else {
            Socket::from_fd(handle, fd)
        }
    }

    /// A socket whose `connect(2)` is under way: it is asked at once to tell of its end (rule 6).
    pub(crate) fn under_way(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(handle, fd, Interest::BOTH, Ownership::Sole)?;
        Ok(Socket { source })
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// Those of `socket(2)` and `connect(2)` that are known at once: `ENOENT` and `ECONNREFUSED` for a
    /// Unix socket.
    pub fn connect(handle: &Handle, addr: &Addr) -> io::Result<Connecting> {
        Unconnected::to_reach(addr)?.connect(handle, addr)
    }

    /// Says whether small writes are sent at once rather than gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EOPNOTSUPP` for a Unix socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(&self.source, nodelay)?)
    }

    /// Has the kernel give up a TCP peer that says nothing: see [`Keepalive`]. `None` has it wait for ever.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EOPNOTSUPP` for a Unix socket, `EINVAL` beyond 32,767 s or 127 probes.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        match keepalive {
            Some(keepalive) => keepalive.apply(&self.source),
            None => keepalive::switch_off(&self.source),
        }
    }

    /// How many bytes are there to be read (`FIONREAD`).
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn unread_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.source)?)
    }

    /// How many bytes the kernel can still hold for the peer (`SO_MEMINFO`). These include its own bookkeeping,
    /// so that it takes a little less of what is sent.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`: `ENOPROTOOPT` before Linux 4.12.
    pub fn send_room(&self) -> io::Result<usize> {
        oneloop_posix::send_room(self.source.as_fd())
    }

    /// Has the close send a reset instead of what may still wait to be sent (`SO_LINGER` of 0 s).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn reset_on_close(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(
            &self.source,
            Some(Duration::ZERO),
        )?)
    }

    /// Ends one direction or both: after [`Shutdown::Write`] the peer reads to the end of what was
    /// written.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer has reset the connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => net::Shutdown::Read,
            Shutdown::Write => net::Shutdown::Write,
            Shutdown::Both => net::Shutdown::Both,
        };
        Ok(net::shutdown(&self.source, how)?)
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        Addr::of_peer(&self.source)
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        take_error(&self.source)
    }

    /// The fd's registration, for what is not here.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

pub(crate) fn take_error(source: &Source) -> io::Result<Option<io::Error>> {
    Ok(sockopt::socket_error(source)?.err().map(io::Error::from))
}

impl<S: ByteStream> AsSource for S {
    fn source(&self) -> &Source {
        &self.socket().source
    }
}

impl<S: ByteStream> ReadHalf for S {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(net::recv(self.socket(), buf, RecvFlags::empty())?.0)
    }

    fn is_spliced(&self) -> bool {
        true
    }
}

/// Never a signal: `EPIPE` is enough.
impl<S: ByteStream> WriteHalf for S {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(net::send(self.socket(), buf, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (socket, control) = (self.socket(), &mut Default::default());
        Ok(net::sendmsg(socket, bufs, control, SendFlags::NOSIGNAL)?)
    }

    fn end(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    fn is_spliced(&self) -> bool {
        true
    }
}

impl ByteStream for Socket {
    fn socket(&self) -> &Socket {
        self
    }
}
