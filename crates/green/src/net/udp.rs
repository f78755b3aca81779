//! Datagrams.

use super::bind::first_that_works;
use super::open::Open;
use oneloop_core::Direction;
use oneloop_net::{self as net, Backoff, Datagram, Outgoing, RecvBatch, ToTarget, UdpOptions};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

/// A UDP socket; clones are the same one. One green thread can receive while another one sends.
#[derive(Clone, Debug)]
pub struct UdpSocket {
    open: Rc<Open<net::UdpSocket>>,
}

impl UdpSocket {
    /// Takes the first address that works; port 0 lets the kernel choose. A name is looked up on another
    /// thread.
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

    /// Takes an address, with options.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    ///
    /// # Panics
    /// As [`UdpSocket::bind`].
    #[track_caller]
    pub fn bind_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        let bind = |addr| net::UdpSocket::bind_with(addr, options);
        let socket = first_that_works(target, Location::caller(), bind)?;
        let open = Open::new(socket, net::UdpSocket::source);
        Ok(UdpSocket { open })
    }

    /// Names the peer of [`UdpSocket::send`] and [`UdpSocket::recv`].
    ///
    /// # Errors
    /// Those of `connect(2)`; `EBADF` once it is closed.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        self.open.get()?.connect(addr)
    }

    /// Receives one datagram, and says who sent it. One that is longer than the buffer is cut off, which
    /// [`Datagram::is_truncated`] tells.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; `EBADF` once it is closed, by whomever; `EBUSY` if another green thread
    /// receives; [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        let receive =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_recv_from(cx, buf);
        self.open.io(Direction::Read, receive)
    }

    /// As [`UdpSocket::recv_from`], past failures that are not this socket's end; `on_failure` hears of
    /// each, and whether a pause follows.
    #[track_caller]
    pub(super) fn recv_from_past_failures(
        &self,
        buf: &mut [u8],
        backoff: &mut Backoff,
        mut on_failure: impl FnMut(&io::Error, bool),
    ) -> io::Result<(Datagram, SocketAddr)> {
        let receive = |socket: &net::UdpSocket, cx: &mut Context<'_>| {
            let receive = |cx: &mut Context<'_>| socket.poll_recv_from(cx, buf);
            backoff.poll_past_failures(cx, socket.source(), receive, &mut on_failure)
        };
        self.open.io(Direction::Read, receive)
    }

    /// Receives one datagram from the peer that `connect` named.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`]; `ECONNREFUSED` when an earlier datagram found nobody.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        let receive = |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_recv(cx, buf);
        self.open.io(Direction::Read, receive)
    }

    /// Sends one datagram to an address, whole or not at all.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `EMSGSIZE` when it is too long, `ENETUNREACH`, `EACCES`; and the others of
    /// [`UdpSocket::recv_from`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<()> {
        let send =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send_to(cx, buf, addr);
        self.open.io(Direction::Write, send)
    }

    /// Sends one datagram to the peer that `connect` named.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`]; `EDESTADDRREQ` when there is no peer.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send(&self, buf: &[u8]) -> io::Result<()> {
        let send = |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send(cx, buf);
        self.open.io(Direction::Write, send)
    }

    /// Receives all datagrams that are there and for which the batch has room, at least one, in one
    /// system call, and says how many.
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
        self.open.io(Direction::Read, receive)
    }

    /// Sends datagrams in one system call, as many as the kernel takes, and says how many went: the
    /// first ones. The rest is the caller's to send again.
    ///
    /// # Errors
    /// That of the first datagram: see [`net::UdpSocket::poll_send_batch`]; and those of
    /// [`UdpSocket::send_to`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn send_batch(&self, batch: &[Outgoing<'_>]) -> io::Result<usize> {
        let send =
            |socket: &net::UdpSocket, cx: &mut Context<'_>| socket.poll_send_batch(cx, batch);
        self.open.io(Direction::Write, send)
    }

    /// The socket below, for what does not wait: its options and its groups
    /// ([`join_multicast`](net::UdpSocket::join_multicast), [`set_gso`](net::UdpSocket::set_gso)).
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn socket(&self) -> io::Result<Rc<net::UdpSocket>> {
        self.open.get()
    }

    /// How long a receive waits at most; `None`, as at first, is for ever. With zero it never waits: see
    /// [`Stream::set_read_timeout`](super::Stream::set_read_timeout).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Read, timeout);
    }

    /// How long a send waits at most; `None`, as at first, is for ever.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Write, timeout);
    }

    /// Lets it send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`; `EBADF` once it is closed.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.open.get()?.set_broadcast(broadcast)
    }

    /// Closes it, for all clones; who receives or sends at that moment is woken with `EBADF`.
    pub fn close(&self) {
        self.open.close();
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`; `EBADF` once it is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.open.get()?.local_addr()
    }
}
