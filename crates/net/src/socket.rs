//! A connected byte stream of any family: the way of a byte between user code and the kernel.

use crate::addr::Addr;
use crate::buffer::{CHUNK_BYTES, Chunk};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Ready, Source};
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

/// More slices than this are more than `sendmsg(2)` takes (`IOV_MAX`): the first ones are written.
const SLICES_MAX: usize = 1024;

/// A connected stream socket on a loop.
///
/// The poll functions keep the waker of one task for each direction: the last that asked. Dropping
/// the socket closes it; the kernel goes on sending what it has taken, unless unread input makes it
/// send a reset.
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
    pub(crate) fn from_unix_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
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

    /// Reads into a buffer; 0 bytes mean that the peer sends no more.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source
            .poll_io(cx, Direction::Read, |fd| receive(fd, &mut *buf))
    }

    /// Reads what is there, at most `bytes_max` (at least 1) and [`CHUNK_BYTES`], into a pooled buffer, which is
    /// taken only when something is; `None` means that the peer sends no more.
    #[inline]
    pub fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        ready!(self.source.poll_ready(cx, Direction::Read))?;
        self.poll_fill_chunk(cx, bytes_max)
    }

    /// Like [`Socket::poll_read_chunk`], without waiting: `Pending` only says that nothing is there.
    /// For code that is no task, or that has a share of I/O of its own: see [`Source::try_io`].
    pub fn try_read_chunk(&self, bytes_max: usize) -> Poll<io::Result<Option<Chunk>>> {
        if !self.source.ready().intersects(Ready::of(Direction::Read)) {
            return Poll::Pending;
        }
        let mut chunk = Chunk::take();
        let space = &mut chunk.space()[..bytes_max.clamp(1, CHUNK_BYTES)];
        let read = self
            .source
            .try_io(Direction::Read, |fd| receive(fd, &mut *space));
        match read? {
            None => Poll::Pending,
            Some(count) => Poll::Ready(Ok((count > 0).then(|| chunk.filled(count)))),
        }
    }

    fn poll_fill_chunk(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        let mut chunk = Chunk::take();
        let space = &mut chunk.space()[..bytes_max.clamp(1, CHUNK_BYTES)];
        let count = ready!(self.poll_read(cx, space))?;
        Poll::Ready(Ok((count > 0).then(|| chunk.filled(count))))
    }

    /// Writes some of these bytes, as many as the kernel takes. Writing to a peer that is gone is
    /// `EPIPE`, never a signal.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.source
            .poll_io(cx, Direction::Write, |fd| send(fd, buf))
    }

    /// Like [`Socket::poll_write`], from several buffers in one system call.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.source
            .poll_io(cx, Direction::Write, |fd| send_vectored(fd, bufs))
    }

    /// Writes as much as the kernel takes now, without waiting: 0 bytes if it takes none. For code
    /// that is no task: see [`Source::try_io`].
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE`, `ECONNRESET`.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match bufs {
            [buf] => self.source.try_io(Direction::Write, |fd| send(fd, buf)),
            bufs => self
                .source
                .try_io(Direction::Write, |fd| send_vectored(fd, bufs)),
        };
        Ok(written?.unwrap_or(0))
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
        Ok(Addr::from_kernel(net::getsockname(&self.source)?))
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        Ok(net::getpeername(&self.source)?.map_or(Addr::UnixUnnamed, Addr::from_kernel))
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

fn receive(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Done<usize>> {
    let wanted = buf.len();
    let (count, _) = net::recv(fd, buf, RecvFlags::empty())?;
    Ok(Done::stream(count, wanted))
}

fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<Done<usize>> {
    let count = net::send(fd, buf, SendFlags::NOSIGNAL)?;
    Ok(Done::stream(count, buf.len()))
}

fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<Done<usize>> {
    let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
    let wanted = bufs.iter().map(|buf| buf.len()).sum();
    let count = net::sendmsg(fd, bufs, &mut Default::default(), SendFlags::NOSIGNAL)?;
    Ok(Done::stream(count, wanted))
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
        let family = addr.family();
        let fd = net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
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

/// Any byte stream with a [`Socket`] inside: what the styles are generic over.
pub trait ByteStream {
    /// The socket inside.
    fn socket(&self) -> &Socket;
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
