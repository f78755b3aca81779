//! Unix datagrams and sequenced packets, with `await`.

use oneloop_core::{Direction, Handle};
use oneloop_net::{self as net, Addr, Datagram, ListenOptions, ToUnixAddr, UnixMessage};
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;

/// A Unix datagram socket, by a path or an abstract name ([`Addr::UnixAbstract`]).
///
/// All of it takes `&self`: one task can receive while another sends. What does not wait
/// (`local_addr`, `peer_credentials`) is there by dereferencing.
///
/// ```
/// use oneloop_aio::{Addr, UnixDatagram, block_on};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let name = Addr::UnixAbstract(format!("oneloop-aio-{}", std::process::id()).into());
///     let server = UnixDatagram::bind(&name)?;
///     let client = UnixDatagram::unbound()?;
///     client.send_to(b"hello", &name).await?;
///     let mut buf = [0; 16];
///     let (datagram, _from) = server.recv_from(&mut buf).await?;
///     assert_eq!(&buf[..datagram.bytes], b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    inner: net::UnixDatagram,
}

impl Deref for UnixDatagram {
    type Target = net::UnixDatagram;

    fn deref(&self) -> &net::UnixDatagram {
        &self.inner
    }
}

impl UnixDatagram {
    /// Takes a name. A file stays when this is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier socket left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let inner = net::UnixDatagram::bind(&Handle::current(), &name.to_unix_addr())?;
        Ok(UnixDatagram { inner })
    }

    /// A socket without a name, to send from.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn unbound() -> io::Result<Self> {
        let inner = net::UnixDatagram::unbound(&Handle::current())?;
        Ok(UnixDatagram { inner })
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixDatagram::pair(&Handle::current())?;
        Ok((UnixDatagram { inner: a }, UnixDatagram { inner: b }))
    }

    /// Names the only peer: see [`net::UnixDatagram::connect`].
    ///
    /// # Errors
    /// As there: `ENOENT`, `ECONNREFUSED`.
    pub fn connect(&self, name: impl ToUnixAddr) -> io::Result<()> {
        self.inner.connect(&name.to_unix_addr())
    }

    /// Receives one datagram. One that is longer than the buffer is cut off, which
    /// [`Datagram::is_truncated`] tells; fds that come with it are closed.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv(cx, buf))
            .await
    }

    /// Receives one datagram, and says who sent it: see [`UnixDatagram::recv`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(Datagram, Addr)> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv_from(cx, buf))
            .await
    }

    /// Receives one datagram and at most so many fds, which are this process's own from then on.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`.
    pub async fn recv_fds(&self, buf: &mut [u8], fds_max: usize) -> io::Result<UnixMessage> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv_fds(cx, buf, fds_max))
            .await
    }

    /// Sends one datagram to the peer, whole or not at all; waits while the peer has no room.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// See [`net::UnixDatagram::poll_send`].
    pub async fn send(&self, buf: &[u8]) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send(cx, buf))
            .await
    }

    /// Sends one datagram to a name: see [`net::UnixDatagram::send_to`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn send_to(&self, buf: &[u8], name: impl ToUnixAddr) -> io::Result<()> {
        self.inner.send_to(buf, &name.to_unix_addr()).await
    }

    /// Sends one datagram and fds to the peer. The fds stay the caller's.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// See [`net::UnixDatagram::poll_send_fds`].
    pub async fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send_fds(cx, buf, fds))
            .await
    }

    /// Sends one datagram and fds to a name. The fds stay the caller's.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// See [`net::UnixDatagram::send_fds_to`].
    pub async fn send_fds_to(
        &self,
        buf: &[u8],
        fds: &[BorrowedFd<'_>],
        name: impl ToUnixAddr,
    ) -> io::Result<()> {
        self.inner.send_fds_to(buf, fds, &name.to_unix_addr()).await
    }
}

/// A Unix connection that keeps the bounds of messages (`SOCK_SEQPACKET`).
///
/// All of it takes `&self`: one task can receive while another sends. What does not wait
/// (`peer_credentials`, `shutdown`) is there by dereferencing.
///
/// ```
/// use oneloop_aio::{Addr, UnixSeqpacket, UnixSeqpacketListener, block_on};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let name = Addr::UnixAbstract(format!("oneloop-seq-{}", std::process::id()).into());
///     let listener = UnixSeqpacketListener::bind(&name)?;
///     let client = UnixSeqpacket::connect(&name).await?;
///     let (server, _peer) = listener.accept().await?;
///     client.send(b"one").await?;
///     client.send(b"two").await?;
///     drop(client);
///     let mut buf = [0; 16];
///     let mut lengths = Vec::new();
///     while let Some(message) = server.recv(&mut buf).await? {
///         lengths.push(message.bytes);
///     }
///     assert_eq!(lengths, [3, 3]);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixSeqpacket {
    inner: net::UnixSeqpacket,
}

impl Deref for UnixSeqpacket {
    type Target = net::UnixSeqpacket;

    fn deref(&self) -> &net::UnixSeqpacket {
        &self.inner
    }
}

impl UnixSeqpacket {
    /// Connects. Cancel safe: dropped before it is ready, it gives up.
    ///
    /// # Errors
    /// See [`net::UnixSeqpacket::connect`].
    pub async fn connect(name: impl ToUnixAddr) -> io::Result<Self> {
        let inner = net::UnixSeqpacket::connect(&Handle::current(), &name.to_unix_addr()).await?;
        Ok(UnixSeqpacket { inner })
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = net::UnixSeqpacket::pair(&Handle::current())?;
        Ok((UnixSeqpacket { inner: a }, UnixSeqpacket { inner: b }))
    }

    /// Receives one message; `None` means that the peer sends no more. One that is longer than the buffer is
    /// cut off, which [`Datagram::is_truncated`] tells; fds that come with it are closed.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<Option<Datagram>> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv(cx, buf))
            .await
    }

    /// Receives one message and at most so many fds; `None` means that the peer sends no more.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`: `ECONNRESET`.
    pub async fn recv_fds(
        &self,
        buf: &mut [u8],
        fds_max: usize,
    ) -> io::Result<Option<UnixMessage>> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv_fds(cx, buf, fds_max))
            .await
    }

    /// Sends one message, whole or not at all; waits while the peer has no room.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE`, `EMSGSIZE`.
    pub async fn send(&self, buf: &[u8]) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send(cx, buf))
            .await
    }

    /// Sends one message and fds. The fds stay the caller's.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// See [`net::UnixSeqpacket::poll_send_fds`].
    pub async fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send_fds(cx, buf, fds))
            .await
    }
}

/// A Unix socket that listens for connections that keep bounds: see [`UnixSeqpacket`].
#[derive(Debug)]
pub struct UnixSeqpacketListener {
    inner: net::UnixSeqpacketListener,
}

impl UnixSeqpacketListener {
    /// Listens on a name. A file stays when this is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let (handle, options) = (Handle::current(), ListenOptions::default());
        let inner = net::UnixSeqpacketListener::bind(&handle, &name.to_unix_addr(), options)?;
        Ok(UnixSeqpacketListener { inner })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// See [`net::Listener::poll_accept`]: only an fd that cannot listen fails.
    pub async fn accept(&self) -> io::Result<(UnixSeqpacket, Addr)> {
        let source = self.inner.listener().source();
        let (inner, peer) = source
            .io(Direction::Read, |cx| self.inner.poll_accept(cx))
            .await?;
        Ok((UnixSeqpacket { inner }, peer))
    }
}
