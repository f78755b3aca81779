//! A connected byte stream of any family: the way of a byte between user code and the kernel.

use crate::addr::Addr;
use crate::stream::{AsSource, ByteStream, ReadHalf, WriteHalf};
use oneloop_core::{Direction, Handle, Interest, Ownership, Source};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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

    /// Begins to connect.
    ///
    /// # Errors
    /// Those of `socket(2)` and `connect(2)` that are known at once: `ECONNREFUSED` for a Unix
    /// socket, and `EAGAIN` for one whose backlog is full.
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

    /// Has the kernel ask a silent TCP peer whether it is still there: after `idle`, in whole
    /// seconds, and then every second, ten times. Less than a second leaves the system's times as they
    /// are; `None` switches it off.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EOPNOTSUPP` for a Unix socket, `EINVAL` beyond 32,767 s.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        sockopt::set_socket_keepalive(&self.source, idle.is_some())?;
        if let Some(idle) = idle.filter(|idle| idle.as_secs() > 0) {
            sockopt::set_tcp_keepidle(&self.source, idle)?;
            sockopt::set_tcp_keepintvl(&self.source, Duration::from_secs(1))?;
            sockopt::set_tcp_keepcnt(&self.source, 10)?;
        }
        Ok(())
    }

    /// How many bytes are there to be read (`FIONREAD`).
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn unread_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.source)?)
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

/// A stream socket before its `connect(2)`: for a caller who wants to say where it connects from.
#[derive(Debug)]
pub struct Unconnected {
    fd: OwnedFd,
    family: AddressFamily,
}

impl Unconnected {
    /// A socket of that address's family.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`, `EAFNOSUPPORT`.
    pub fn to_reach(addr: &Addr) -> io::Result<Self> {
        Unconnected::new(addr.family(), SocketType::STREAM)
    }

    pub(crate) fn new(family: AddressFamily, kind: SocketType) -> io::Result<Self> {
        let fd = net::socket_with(family, kind, FLAGS, None)?;
        Ok(Unconnected { fd, family })
    }

    /// Gives this end an address.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`.
    pub fn bind(&self, addr: &Addr) -> io::Result<()> {
        if let Addr::Inet(_) = addr {
            sockopt::set_socket_reuseaddr(&self.fd, true)?;
        }
        Ok(net::bind(&self.fd, &addr.to_kernel()?)?)
    }

    /// Begins to connect: see [`Socket::connect`].
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect(self, handle: &Handle, addr: &Addr) -> io::Result<Connecting> {
        // Rule 6: registered after connect(2), as before it the kernel says OUT|HUP.
        let socket = match net::connect(&self.fd, &addr.to_kernel()?) {
            Ok(()) => Socket::of_family(self.family, handle, self.fd)?,
            Err(Errno::INPROGRESS) => Socket {
                source: Source::new(handle, self.fd, Interest::BOTH, Ownership::Sole)?,
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Connecting {
            socket: Some(socket),
        })
    }
}

impl ByteStream for Socket {
    fn socket(&self) -> &Socket {
        self
    }
}

/// A connect that is under way: a future of the connected socket. Dropping it gives up.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Connecting {
    socket: Option<Socket>,
}

impl Connecting {
    /// Says whether the connect keeps the loop alive; it does by default.
    pub fn set_referenced(&self, referenced: bool) {
        if let Some(socket) = &self.socket {
            socket.source.set_referenced(referenced);
        }
    }
}

impl Future for Connecting {
    type Output = io::Result<Socket>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let socket = self
            .socket
            .as_ref()
            .expect("Connecting is not polled after its end");
        ready!(socket.source.poll_ready(cx, Direction::Write))?;
        let failed = socket.take_error()?;
        let socket = self.socket.take().expect("it was there two lines ago");
        Poll::Ready(match failed {
            Some(error) => Err(error),
            None => Ok(socket),
        })
    }
}
