//! Unix datagrams and sequenced packets.

use super::open::Open;
use crate::wait::wait_io;
use oneloop_core::Direction;
use oneloop_net::{self as net, Addr, Credentials, Datagram, Shutdown, ToUnixAddr, UnixMessage};
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

/// What the sockets here have in common: closing, and time-outs.
macro_rules! opened {
    ($($socket:ident)*) => {
        $(
            impl $socket {
                /// How long a receive waits at most; `None`, as at first, is for ever. With zero it never
                /// waits: see [`Stream::set_read_timeout`](super::Stream::set_read_timeout).
                pub fn set_read_timeout(&self, timeout: Option<Duration>) {
                    self.open.set_timeout(Direction::Read, timeout);
                }

                /// How long a send waits at most; `None`, as at first, is for ever.
                pub fn set_write_timeout(&self, timeout: Option<Duration>) {
                    self.open.set_timeout(Direction::Write, timeout);
                }

                /// Closes it, for all clones; who receives or sends at that moment is woken with `EBADF`.
                pub fn close(&self) {
                    self.open.close();
                }

                /// This end's name.
                ///
                /// # Errors
                /// Those of `getsockname(2)`; `EBADF` once it is closed.
                pub fn local_addr(&self) -> io::Result<Addr> {
                    self.open.get()?.local_addr()
                }

                /// Who is at the other end (`SO_PEERCRED`).
                ///
                /// # Errors
                /// `ENOTCONN` when nobody is; `EBADF` once it is closed.
                pub fn peer_credentials(&self) -> io::Result<Credentials> {
                    self.open.get()?.peer_credentials()
                }

                /// Sends one message to the peer, whole or not at all; waits while the peer has no room.
                ///
                /// # Errors
                /// Those of `send(2)`: `EPIPE`, `ECONNREFUSED`, `EMSGSIZE`; `EBADF` once it is closed, by
                /// whomever; `EBUSY` if another green thread sends; [`TimedOut`](io::ErrorKind::TimedOut).
                ///
                /// # Panics
                /// Outside of a green thread.
                #[track_caller]
                pub fn send(&self, buf: &[u8]) -> io::Result<()> {
                    let send = |socket: &net::$socket, cx: &mut Context<'_>| {
                        socket.poll_send(cx, buf)
                    };
                    self.open.io(Direction::Write, send)
                }

                /// Sends one message and fds to the peer. The fds stay the caller's; the receiver gets
                /// duplicates.
                ///
                /// # Errors
                /// As `send`; `InvalidInput` for more than [`FDS_MAX`](net::FDS_MAX) fds;
                /// `ETOOMANYREFS` when too many are on their way.
                ///
                /// # Panics
                /// Outside of a green thread.
                #[track_caller]
                pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
                    let send = |socket: &net::$socket, cx: &mut Context<'_>| {
                        socket.poll_send_fds(cx, buf, fds)
                    };
                    self.open.io(Direction::Write, send)
                }
            }
        )*
    };
}

opened! { UnixDatagram UnixSeqpacket }

/// A Unix datagram socket, by a path or an abstract name ([`Addr::UnixAbstract`]); clones are the same
/// one. One green thread can receive while another one sends.
///
/// ```
/// use oneloop_green::{net::{Addr, UnixDatagram}, run};
/// let name = Addr::UnixAbstract(format!("oneloop-green-{}", std::process::id()).into());
/// let bytes = run(move || {
///     let server = UnixDatagram::bind(&name)?;
///     UnixDatagram::unbound()?.send_to(b"hello", &name)?;
///     let (datagram, _from) = server.recv_from(&mut [0; 16])?;
///     Ok::<_, std::io::Error>(datagram.bytes)
/// })??;
/// assert_eq!(bytes, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixDatagram {
    open: Rc<Open<net::UnixDatagram>>,
}

impl UnixDatagram {
    fn new(socket: net::UnixDatagram) -> Self {
        let open = Open::new(socket, net::UnixDatagram::source);
        UnixDatagram { open }
    }

    /// Takes a name. A file stays when this is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier socket left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        net::UnixDatagram::bind(name).map(UnixDatagram::new)
    }

    /// A socket without a name, to send from.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn unbound() -> io::Result<Self> {
        net::UnixDatagram::unbound().map(UnixDatagram::new)
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixDatagram::pair()?;
        Ok((UnixDatagram::new(a), UnixDatagram::new(b)))
    }

    /// Names the only peer: see [`net::UnixDatagram::connect`].
    ///
    /// # Errors
    /// As there; `EBADF` once it is closed.
    pub fn connect(&self, name: impl ToUnixAddr) -> io::Result<()> {
        self.open.get()?.connect(name)
    }

    /// Receives one datagram. One that is longer than the buffer is cut off, which
    /// [`Datagram::is_truncated`] tells; fds that come with it are closed.
    ///
    /// # Errors
    /// Those of `recv(2)`; `EBADF` once it is closed, by whomever; `EBUSY` if another green thread
    /// receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |socket: &net::UnixDatagram, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.open.io(Direction::Read, receive)
    }

    /// Receives one datagram, and says who sent it: see [`UnixDatagram::recv`].
    ///
    /// # Errors
    /// As [`UnixDatagram::recv`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(Datagram, Addr)> {
        let receive =
            |socket: &net::UnixDatagram, cx: &mut Context<'_>| socket.poll_recv_from(cx, buf);
        self.open.io(Direction::Read, receive)
    }

    /// Receives one datagram and at most so many fds, which are this process's own from then on.
    ///
    /// # Errors
    /// As [`UnixDatagram::recv`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<UnixMessage> {
        let receive = |socket: &net::UnixDatagram, cx: &mut Context<'_>| {
            socket.poll_recv_fds(cx, buf, fds_max)
        };
        self.open.io(Direction::Read, receive)
    }

    /// Sends one datagram to a name, whole or not at all: see [`net::UnixDatagram::send_to`].
    ///
    /// # Errors
    /// As there, and as [`UnixDatagram::send`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_to(&self, buf: &[u8], name: impl ToUnixAddr) -> io::Result<()> {
        self.send_fds_to(buf, &[], name)
    }

    /// Sends one datagram and fds to a name: see [`UnixDatagram::send_to`], [`UnixDatagram::send_fds`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_fds_to(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        name: impl ToUnixAddr,
    ) -> io::Result<()> {
        let socket = self.open.get()?;
        let mut sent = pin!(socket.send_fds_to(buf, fds, name));
        self.open
            .io(Direction::Write, |_, cx| sent.as_mut().poll(cx))
    }
}

/// A Unix connection that keeps the bounds of messages (`SOCK_SEQPACKET`); clones are the same one. One
/// green thread can receive while another one sends.
#[derive(Clone, Debug)]
pub struct UnixSeqpacket {
    open: Rc<Open<net::UnixSeqpacket>>,
}

impl UnixSeqpacket {
    pub(super) fn new(socket: net::UnixSeqpacket) -> Self {
        let open = Open::new(socket, net::UnixSeqpacket::source);
        UnixSeqpacket { open }
    }

    /// Connects to a path, or to an abstract name ([`Addr::UnixAbstract`]).
    ///
    /// # Errors
    /// See [`net::UnixSeqpacket::connect`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        let connect = net::UnixSeqpacket::connect(name);
        wait_io(connect, Location::caller()).map(UnixSeqpacket::new)
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixSeqpacket::pair()?;
        Ok((UnixSeqpacket::new(a), UnixSeqpacket::new(b)))
    }

    /// Receives one message; `None` means that the peer sends no more. One that is longer than the buffer is
    /// cut off, which [`Datagram::is_truncated`] tells; fds that come with it are closed.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`; `EBADF` once it is closed, by whomever; `EBUSY` if another
    /// green thread receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Option<Datagram>> {
        let receive = |socket: &net::UnixSeqpacket, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.open.io(Direction::Read, receive)
    }

    /// Receives one message and at most so many fds; `None` means that the peer sends no more.
    ///
    /// # Errors
    /// As [`UnixSeqpacket::recv`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<Option<UnixMessage>> {
        let receive = |socket: &net::UnixSeqpacket, cx: &mut Context<'_>| {
            socket.poll_recv_fds(cx, buf, fds_max)
        };
        self.open.io(Direction::Read, receive)
    }

    /// Ends one direction or both: after [`Shutdown::Write`] the peer receives what was sent, and then
    /// the end.
    ///
    /// # Errors
    /// Those of `shutdown(2)`; `EBADF` once it is closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.open.get()?.shutdown(how)
    }
}
