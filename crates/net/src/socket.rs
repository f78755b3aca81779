//! A connected byte stream of any family: its bytes pass through here to and from the kernel.

use crate::addr::Addr;
use crate::keepalive::{self, Keepalive};
use crate::stream::{AsSource, HalfClose, ReadHalf, WriteHalf};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair, sockopt,
};
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

pub use std::net::Shutdown;

/// The flags of every socket that this crate opens.
pub(crate) const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Opens a socket.
///
/// # Errors
/// Those of `socket(2)`: `EMFILE`, `EAFNOSUPPORT`.
pub(crate) fn open(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    chaos_shortage()?;
    Ok(net::socket_with(family, kind, FLAGS, None)?)
}

/// Opens two Unix sockets that are connected to each other.
///
/// # Errors
/// Those of `socketpair(2)`: `EMFILE`.
pub(crate) fn open_pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    chaos_shortage()?;
    Ok(socketpair(AddressFamily::UNIX, kind, FLAGS, None)?)
}

/// Fails under chaos. A socket may also be opened outside of a loop.
fn chaos_shortage() -> io::Result<()> {
    Handle::try_current().map_or(Ok(()), |handle| Ok(handle.chaos_shortage()?))
}

/// A connected stream socket on a loop.
///
/// All functions take `&self`: one task can read while another writes. Dropping the socket closes
/// it. The kernel still sends the bytes that it has taken, unless unread input makes it send a
/// reset.
#[derive(Debug)]
pub struct Socket {
    source: Source,
}

impl Socket {
    /// Puts a connected socket on the current loop. It must be non-blocking.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Socket::on(&Handle::current(), fd)
    }

    /// Like [`Socket::from_fd`], for a Unix socket, whose reads stop behind messages that carry
    /// fds.
    ///
    /// # Errors
    /// As [`Socket::from_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_unix_fd(fd: OwnedFd) -> io::Result<Self> {
        Socket::unix_on(&Handle::current(), fd)
    }

    pub(crate) fn on(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        if handle.chaos_sends_at_once() {
            let _ = sockopt::set_tcp_nodelay(&fd, true); // it may be no TCP socket
        }
        let source = Source::new(handle, fd, Interest::READ, Ownership::Sole)?;
        // A fresh socket has an empty send buffer, so the first write is tried without a poll.
        source.assume_ready(Direction::Write);
        Ok(Socket { source })
    }

    pub(crate) fn unix_on(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let Socket { source } = Socket::on(handle, fd)?;
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
            Socket::unix_on(handle, fd)
        } else {
            Socket::on(handle, fd)
        }
    }

    /// A socket whose `connect(2)` is in progress. The kernel reports its end as OUT (rule 6), so
    /// OUT is requested at once.
    pub(crate) fn in_progress(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(handle, fd, Interest::BOTH, Ownership::Sole)?;
        Ok(Socket { source })
    }

    /// Both ends of a Unix connection.
    #[track_caller]
    pub(crate) fn pair(kind: SocketType) -> io::Result<(Self, Self)> {
        let (a, b) = open_pair(kind)?;
        Ok((Socket::from_unix_fd(a)?, Socket::from_unix_fd(b)?))
    }

    /// Sets whether small writes are sent at once rather than gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EOPNOTSUPP` for a Unix socket.
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(&self.source, nodelay)?)
    }

    /// Sets when the kernel gives up a silent TCP peer: see [`Keepalive`]. With `None` it waits
    /// forever.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EOPNOTSUPP` for a Unix socket, `EINVAL` beyond 32,767 s or 127
    /// probes.
    #[doc(alias = "SO_KEEPALIVE")]
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        match keepalive {
            Some(keepalive) => keepalive.apply(&self.source),
            None => keepalive::switch_off(&self.source),
        }
    }

    /// The number of bytes that have arrived and are not read yet (`FIONREAD`).
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn unread_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.source)?)
    }

    /// The number of bytes that the kernel can still hold for the peer (`SO_MEMINFO`). They include
    /// the kernel's own bookkeeping, so it takes somewhat fewer bytes of payload.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`: `ENOPROTOOPT` before Linux 4.12.
    pub fn send_room(&self) -> io::Result<usize> {
        oneloop_posix::send_room(self.source.as_fd())
    }

    /// Makes the close send a reset and drop the bytes that are not sent yet (`SO_LINGER` of 0 s).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    #[doc(alias("SO_LINGER", "RST"))]
    pub fn reset_on_close(&self) -> io::Result<()> {
        // socket(7): a close with a linger time of 0 drops the send buffer and sends a reset.
        Ok(sockopt::set_socket_linger(
            &self.source,
            Some(Duration::ZERO),
        )?)
    }

    /// Ends one direction or both. After [`Shutdown::Write`] the peer reads to the end of what was
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

    /// Reads bytes that have arrived, and leaves them there for the next read. Returns 0 when the
    /// peer sends no more. It cannot wait for more bytes than the first that arrive.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// As [`Socket::poll_peek`].
    pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_peek(cx, buf))
    }

    /// Reads bytes without taking them: see [`Socket::peek`].
    ///
    /// # Errors
    /// Those of `recv(2)`: `ECONNRESET`.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            // `one`: the socket stays readable, however few bytes there are.
            Ok(Done::one(net::recv(fd, &mut *buf, RecvFlags::PEEK)?.0))
        })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        Addr::of_peer(&self.source)
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`). The kernel reports it once.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        take_error(&self.source)
    }

    /// The fd's registration with the loop.
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

/// A byte stream over a [`Socket`], which has both halves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a socket on the loop",
    label = "write a `TcpStream`, a `UnixStream` or a `Socket` of `oneloop::net`",
    note = "`oneloop::net::Socket::from_fd(socket.into())?` takes a socket of the standard library"
)]
pub trait ByteStream {
    /// The socket inside.
    fn socket(&self) -> &Socket;
}

#[diagnostic::do_not_recommend]
impl<S: ByteStream> AsSource for S {
    fn source(&self) -> &Source {
        &self.socket().source
    }
}

#[diagnostic::do_not_recommend]
impl<S: ByteStream> HalfClose for S {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }
}

#[diagnostic::do_not_recommend]
impl<S: ByteStream> ReadHalf for S {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        // recv(2), and not read(2): it skips the file layer of the kernel.
        Ok(net::recv(self.socket(), buf, RecvFlags::empty())?.0)
    }

    fn is_spliced(&self) -> bool {
        true
    }
}

/// Sends with `MSG_NOSIGNAL`: a peer that is gone is an `EPIPE`, and never a `SIGPIPE` that would
/// end a program which has not ignored it.
#[diagnostic::do_not_recommend]
impl<S: ByteStream> WriteHalf for S {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(net::send(self.socket(), buf, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // writev(2) has no flags, and so no MSG_NOSIGNAL.
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
