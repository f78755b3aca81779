//! Unix datagrams: whole, in order, and never lost: a full receiver makes the sender wait.

use super::credentials::{self, Credentials};
use super::message::{self, UnixMessage};
use super::name::to_kernel;
use crate::addr::Addr;
use crate::datagram::Datagram;
use crate::socket::{FLAGS, take_error};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use rustix::net::{self, AddressFamily, RecvFlags, SocketType, socketpair, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a send to a full receiver waits before it first tries again; then twice as long, and so on.
const RETRY_MIN: Duration = Duration::from_micros(100);
const RETRY_MAX: Duration = Duration::from_millis(10);

/// A Unix datagram socket on a loop.
///
/// The poll functions keep the waker of one task for each direction: the last that asked. A datagram
/// is received whole or, if the buffer is too short, cut off, which is told. The file of a name stays when
/// the socket is dropped: whoever bound it removes it.
///
/// ```
/// use oneloop_net::{Addr, UnixDatagram};
/// use std::future::poll_fn;
/// # fn main() -> std::io::Result<()> {
/// let mut event_loop = oneloop_core::EventLoop::new()?;
/// let handle = event_loop.handle();
/// let name = Addr::UnixAbstract(format!("oneloop-doc-{}", std::process::id()).into());
/// let server = UnixDatagram::bind(&handle, &name)?;
/// let client = UnixDatagram::unbound(&handle)?;
/// event_loop.block_on(async {
///     client.send_to(b"hello", &name).await?;
///     let mut buf = [0; 16];
///     let (datagram, from) = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await?;
///     assert_eq!((&buf[..datagram.bytes], from), (&b"hello"[..], Addr::UnixUnnamed));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    source: Source,
}

impl UnixDatagram {
    /// Takes a name.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier socket left, `EACCES`, `ENOENT`.
    pub fn bind(handle: &Handle, addr: &Addr) -> io::Result<Self> {
        let addr = to_kernel(addr)?;
        let fd = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None)?;
        net::bind(&fd, &addr)?;
        UnixDatagram::new(handle, fd)
    }

    /// A socket without a name: it can send, and receives nothing, unless it is one of a pair.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`.
    pub fn unbound(handle: &Handle) -> io::Result<Self> {
        let fd = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None)?;
        UnixDatagram::new(handle, fd)
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    pub fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None)?;
        Ok((UnixDatagram::new(handle, a)?, UnixDatagram::new(handle, b)?))
    }

    /// A Unix datagram socket that is there already. It must be non-blocking; it does not tell credentials
    /// with each message from now on (`SO_PASSCRED`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `epoll_ctl(2)`; the fd is closed then.
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        // rustix would read them, and takes a pid for a number that is not 0; the kernel's may be.
        sockopt::set_socket_passcred(&fd, false)?;
        UnixDatagram::new(handle, fd)
    }

    fn new(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(handle, fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write); // a fresh socket takes datagrams
        Ok(UnixDatagram { source })
    }

    /// Names the only peer: from now on [`UnixDatagram::poll_send`] sends to it, and what others send is
    /// refused to them. Nothing is sent, so this does not wait; connecting again names another peer.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`, `EPERM` if the peer is connected to another one.
    pub fn connect(&self, addr: &Addr) -> io::Result<()> {
        Ok(net::connect(&self.source, &to_kernel(addr)?)?)
    }

    /// Receives one datagram.
    ///
    /// Fds that come with it are closed by the kernel: [`UnixDatagram::poll_recv_fds`] is for them.
    ///
    /// # Errors
    /// Those of `recv(2)`. A datagram that is longer than the buffer is no error: see
    /// [`Datagram::is_truncated`].
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Datagram>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (_, sent_bytes) = net::recv(fd, &mut *buf, RecvFlags::TRUNC)?;
            Ok(Done::one(Datagram::received(sent_bytes, buf.len())).of_bytes(sent_bytes))
        })
    }

    /// Receives one datagram, and says who sent it: [`UnixDatagram::poll_recv`].
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(Datagram, Addr)>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (_, sent_bytes, from) = net::recvfrom(fd, &mut *buf, RecvFlags::TRUNC)?;
            let from = from.map_or(Addr::UnixUnnamed, Addr::from_kernel);
            let datagram = Datagram::received(sent_bytes, buf.len());
            Ok(Done::one((datagram, from)).of_bytes(sent_bytes))
        })
    }

    /// Receives one datagram and at most so many fds, which are this process's own from then on.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_recv`]. More fds than that are no error: see
    /// [`UnixMessage::is_short_of_fds`].
    pub fn poll_recv_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        fds_max: usize,
    ) -> Poll<io::Result<UnixMessage>> {
        self.source.poll_io(cx, Direction::Read, |fd| {
            let (message, _) = message::receive(fd, buf, fds_max)?;
            let bytes = message.sent_bytes;
            Ok(Done::one(message).of_bytes(bytes))
        })
    }

    /// Sends one datagram to the peer, whole or not at all. While the peer has no room for it, this waits.
    ///
    /// # Errors
    /// Those of `send(2)`: `ENOTCONN` when the socket is not connected, `ECONNREFUSED` when the peer is
    /// gone, `EMSGSIZE` when it is longer than the send buffer.
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<()>> {
        message::poll_send(&self.source, cx, buf, &[])
    }

    /// Sends one datagram and fds to the peer: [`UnixDatagram::poll_send`]. The fds stay the caller's; the
    /// receiver gets duplicates.
    ///
    /// # Errors
    /// As [`UnixDatagram::poll_send`]; `InvalidInput` for more than [`FDS_MAX`](crate::FDS_MAX) fds;
    /// `ETOOMANYREFS` when too many are on their way.
    pub fn poll_send_fds(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Poll<io::Result<()>> {
        message::poll_send(&self.source, cx, buf, fds)
    }

    /// Sends one datagram to a name, whole or not at all. While the receiver has no room for it, this
    /// tries again after 100 µs, 200 µs, … up to 10 ms: the kernel tells of room only to those who are
    /// connected, so [`UnixDatagram::connect`] is for those who send a lot.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `ENOENT` when there is no such name, `ECONNREFUSED` when nobody has it any
    /// more, `EMSGSIZE` when it is longer than the send buffer.
    pub async fn send_to(&self, buf: &[u8], to: &Addr) -> io::Result<()> {
        self.send_fds_to(buf, &[], to).await
    }

    /// Sends one datagram and fds to a name: [`UnixDatagram::send_to`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UnixDatagram::send_to`] and [`UnixDatagram::poll_send_fds`].
    pub async fn send_fds_to(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        to: &Addr,
    ) -> io::Result<()> {
        let to = to_kernel(to)?;
        let mut retry = RETRY_MIN;
        // A send that the receiver had no room for makes an edge of its own (the kernel frees what it had
        // copied), so a wait for one would spin.
        let send = |cx: &mut Context<'_>| {
            self.source.poll_io(cx, Direction::Write, |fd| {
                match message::send(fd, buf, fds, Some(&to)) {
                    Ok(bytes) => Ok(Done::one(true).of_bytes(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Done::one(false)),
                    Err(error) => Err(error),
                }
            })
        };
        while !self.source.io(Direction::Write, send).await? {
            self.source.handle().sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
        Ok(())
    }

    /// Who made the pair that this is one of (`SO_PEERCRED`).
    ///
    /// # Errors
    /// `ENOTCONN` for one that is not of a pair.
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        credentials::of_peer(&self.source)
    }

    /// This end's name.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The peer's name.
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<Addr> {
        Addr::of_peer(&self.source)
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`), which no operation tells then.
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

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
