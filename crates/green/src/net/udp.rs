//! UDP sockets.

use super::bind::first_that_works;
use super::green_io::GreenIo;
use oneloop_core::Direction;
use oneloop_net::{
    self as net, AsSource, Backoff, Datagram, Outgoing, RecvBatch, ToTarget, UdpOptions,
};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::task::Context;

/// A UDP socket; clones are the same one. One green thread can receive while another one sends. See
/// [`GreenIo`] for timeouts and closing.
pub type UdpSocket = GreenIo<net::UdpSocket>;

impl UdpSocket {
    /// Binds to the first address that works; with port 0 the kernel chooses one. A name is looked
    /// up on another thread.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EACCES`; and those of a failed look-up.
    ///
    /// # Panics
    /// Outside of a green thread, for a name; outside of a loop.
    #[track_caller]
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        Self::bind_with(target, UdpOptions::default())
    }

    /// Binds, with options.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    ///
    /// # Panics
    /// As [`UdpSocket::bind`].
    #[track_caller]
    pub fn bind_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        let bind = |addr| net::UdpSocket::bind_with(addr, options);
        first_that_works(target, Location::caller(), bind).map(Self::from)
    }

    /// Sets the peer of [`UdpSocket::send`] and [`UdpSocket::recv`].
    ///
    /// # Errors
    /// Those of `connect(2)`; `EBADF` once the socket is closed.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        // connect(2) of a datagram socket only notes the address, so this does not wait.
        self.get()?.connect(addr)
    }

    /// Receives one datagram, and returns its sender's address. The kernel cuts off a datagram that
    /// is longer than the buffer, which [`Datagram::is_truncated`] reports.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; `EBADF` once the socket is closed; `EBUSY` while another green
    /// thread receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        let receive =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_recv_from(cx, buf);
        self.io(Direction::Read, receive)
    }

    /// As [`UdpSocket::recv_from`], but retries after failures that do not end the socket. It calls
    /// `on_failure` with each of them, and with whether a pause follows.
    #[track_caller]
    pub(super) fn recv_from_past_failures(
        &self,
        buf: &mut [u8],
        backoff: &mut Backoff,
        mut on_failure: impl FnMut(&io::Error, bool),
    ) -> io::Result<(Datagram, SocketAddr)> {
        let receive = |socket: &net::UdpSocket, cx: &mut Context<'_>| {
            let receive = |cx: &mut Context<'_>| socket.poll_recv_from(cx, buf);
            // An error of recvfrom(2) can belong to an earlier send (ECONNREFUSED) or pass
            // (ENOMEM): a server that ended with it would stop for one lost peer.
            backoff.poll_past_failures(cx, AsSource::source(socket), receive, &mut on_failure)
        };
        self.io(Direction::Read, receive)
    }

    /// Receives one datagram from the peer set by [`UdpSocket::connect`].
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`]; `ECONNREFUSED` when no socket received an earlier datagram.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.io(Direction::Read, receive)
    }

    /// Sends one datagram to an address, whole or not at all.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `EMSGSIZE` when it is too long, `ENETUNREACH`, `EACCES`; and the
    /// others of [`UdpSocket::recv_from`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<()> {
        let send =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send_to(cx, buf, addr);
        self.io(Direction::Write, send)
    }

    /// Sends one datagram to the peer set by [`UdpSocket::connect`].
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`]; `EDESTADDRREQ` without a peer.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> io::Result<()> {
        let send = |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send(cx, buf);
        self.io(Direction::Write, send)
    }

    /// Receives datagrams in one system call: at least one, and as many as have arrived and fit
    /// into the batch. Returns their number.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        let receive =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_recv_batch(cx, batch);
        self.io(Direction::Read, receive)
    }

    /// Sends as many datagrams as the kernel takes in one system call, from the first on, and
    /// returns their number. Sending the rest again is up to the caller.
    ///
    /// # Errors
    /// That of the first datagram: see
    /// [`oneloop::net::UdpSocket::poll_send_batch`](oneloop_net::UdpSocket::poll_send_batch); and
    /// those of [`UdpSocket::send_to`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_batch(&self, batch: &[Outgoing<'_>]) -> io::Result<usize> {
        let send =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send_batch(cx, batch);
        self.io(Direction::Write, send)
    }

    /// The socket inside, for its options and groups, which do not wait
    /// ([`join_multicast`](net::UdpSocket::join_multicast), [`set_gso`](net::UdpSocket::set_gso)).
    ///
    /// # Errors
    /// `EBADF` once the socket is closed.
    pub fn socket(&self) -> io::Result<Rc<net::UdpSocket>> {
        self.get()
    }

    /// Allows sending to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `EBADF` once the socket is closed.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.get()?.set_broadcast(broadcast)
    }
}
