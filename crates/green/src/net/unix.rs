//! Unix datagram and seqpacket sockets.

use super::green_io::GreenIo;
use crate::wait::wait_io;
use oneloop_core::Direction;
use oneloop_net::{self as net, Addr, Credentials, Datagram, ToUnixAddr, UnixMessage};
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::pin::pin;
use std::task::Context;

/// A Unix datagram socket, by a path or an abstract name ([`Addr::UnixAbstract`]); clones are the
/// same one. One green thread can receive while another one sends. See [`GreenIo`] for timeouts and
/// closing.
///
/// ```
/// use oneloop::green::{net::{Addr, UnixDatagram}, run};
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
pub type UnixDatagram = GreenIo<net::UnixDatagram>;

/// A Unix connection that preserves message boundaries (`SOCK_SEQPACKET`); clones are the same one.
/// One green thread can receive while another one sends. See [`GreenIo`] for timeouts and closing.
pub type UnixSeqpacket = GreenIo<net::UnixSeqpacket>;

/// The functions of both kinds. A macro, as the types of `oneloop::net` share no trait for messages.
macro_rules! message_sockets {
    ($($socket:ident)*) => {$(
        impl $socket {
            /// Two sockets, connected to each other.
            ///
            /// # Errors
            /// Those of `socketpair(2)`: `EMFILE`.
            ///
            /// # Panics
            /// Outside of a loop.
            #[track_caller]
            pub fn pair() -> io::Result<(Self, Self)> {
                let (a, b) = net::$socket::pair()?;
                Ok((a.into(), b.into()))
            }

            /// The credentials of the peer's process (`SO_PEERCRED`).
            ///
            /// # Errors
            /// `ENOTCONN` without a peer; `EBADF` once the socket is closed.
            pub fn peer_credentials(&self) -> io::Result<Credentials> {
                self.get()?.peer_credentials()
            }

            /// Sends one message to the peer, whole or not at all; waits while the peer has no
            /// room.
            ///
            /// # Errors
            /// Those of `send(2)`: `EPIPE`, `ECONNREFUSED`, `EMSGSIZE`; `EBADF` once the socket is
            /// closed; `EBUSY` while another green thread sends;
            /// [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Panics
            /// Outside of a green thread.
            #[track_caller]
            pub fn send(&self, buf: &[u8]) -> io::Result<()> {
                let send = |socket: &net::$socket, cx: &mut Context<'_>| socket.poll_send(cx, buf);
                self.io(Direction::Write, send)
            }

            /// Sends one message and fds to the peer. The receiver gets duplicates of the fds.
            ///
            /// # Errors
            /// As `send`; `InvalidInput` for more than [`FDS_MAX`](net::FDS_MAX) fds;
            /// `ETOOMANYREFS` when too many fds are in flight.
            ///
            /// # Panics
            /// Outside of a green thread.
            #[track_caller]
            pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
                let send = |socket: &net::$socket, cx: &mut Context<'_>| {
                    socket.poll_send_fds(cx, buf, fds)
                };
                self.io(Direction::Write, send)
            }
        }
    )*};
}

message_sockets! { UnixDatagram UnixSeqpacket }

impl UnixDatagram {
    /// Binds to a name. The file of a path stays when the socket is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier socket left.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        net::UnixDatagram::bind(name).map(Self::from)
    }

    /// A socket without a name, to send from.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        net::UnixDatagram::unbound().map(Self::from)
    }

    /// Sets the only peer: see
    /// [`oneloop::net::UnixDatagram::connect`](oneloop_net::UnixDatagram::connect).
    ///
    /// # Errors
    /// As there; `EBADF` once the socket is closed.
    pub fn connect(&self, name: impl ToUnixAddr) -> io::Result<()> {
        self.get()?.connect(name)
    }

    /// Receives one datagram. The kernel cuts off a datagram that is longer than the buffer, which
    /// [`Datagram::is_truncated`] reports, and closes fds that come with it.
    ///
    /// # Errors
    /// Those of `recv(2)`; `EBADF` once the socket is closed; `EBUSY` while another green thread
    /// receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |socket: &net::UnixDatagram, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.io(Direction::Read, receive)
    }

    /// Receives one datagram, and returns its sender's address: see [`UnixDatagram::recv`].
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
        self.io(Direction::Read, receive)
    }

    /// Receives one datagram and at most `fds_max` fds, which this process then owns.
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
        self.io(Direction::Read, receive)
    }

    /// Sends one datagram to a name, whole or not at all: see
    /// [`oneloop::net::UnixDatagram::send_to`](oneloop_net::UnixDatagram::send_to).
    ///
    /// # Errors
    /// As there, and as [`UnixDatagram::send`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_to(&self, buf: &[u8], name: impl ToUnixAddr) -> io::Result<()> {
        // Without fds it is the same system call, sendmsg(2).
        self.send_fds_to(buf, &[], name)
    }

    /// Sends one datagram and fds to a name: see [`UnixDatagram::send_to`],
    /// [`UnixDatagram::send_fds`].
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
        let socket = self.get()?;
        // One future for the whole send: while the receiver has no room, it sleeps between its
        // tries.
        let mut sent = pin!(socket.send_fds_to(buf, fds, name));
        self.io(Direction::Write, |_, cx| sent.as_mut().poll(cx))
    }
}

impl UnixSeqpacket {
    /// Connects to a path, or to an abstract name ([`Addr::UnixAbstract`]).
    ///
    /// # Errors
    /// See [`oneloop::net::UnixSeqpacket::connect`](oneloop_net::UnixSeqpacket::connect).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        let connect = net::UnixSeqpacket::connect(name);
        wait_io(connect, Location::caller()).map(Self::from)
    }

    /// Receives one message; `None` means that the peer sends no more. The kernel cuts off a
    /// message that is longer than the buffer, which [`Datagram::is_truncated`] reports, and closes
    /// fds that come with it.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`; `EBADF` once the socket is closed; `EBUSY` while
    /// another green thread receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Option<Datagram>> {
        let receive = |socket: &net::UnixSeqpacket, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.io(Direction::Read, receive)
    }

    /// Receives one message and at most `fds_max` fds; `None` means that the peer sends no more.
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
        self.io(Direction::Read, receive)
    }
}
