//! Datagrams, with `await`.

use crate::bind::{bind_addr, bind_name};
use oneloop_core::Direction;
use oneloop_net::{self as net, Datagram, Outgoing, RecvBatch, ToTarget, UdpOptions};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

/// A UDP socket.
///
/// All of it takes `&self`: one task can receive while another sends. What does not wait (`connect`,
/// `local_addr`, `set_broadcast`) is there by dereferencing.
///
/// ```
/// use oneloop_aio::{UdpSocket, block_on, spawn};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let addr = server.local_addr()?;
///     spawn(async move {
///         let mut buf = [0; 1500];
///         let (datagram, from) = server.recv_from(&mut buf).await?;
///         server.send_to(&buf[..datagram.bytes], from).await
///     });
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(addr)?;
///     client.send(b"hello").await?;
///     let mut buf = [0; 1500];
///     let datagram = client.recv(&mut buf).await?;
///     assert_eq!(&buf[..datagram.bytes], b"hello");
///     assert!(!datagram.is_truncated());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    inner: net::UdpSocket,
}

impl Deref for UdpSocket {
    type Target = net::UdpSocket;

    fn deref(&self) -> &net::UdpSocket {
        &self.inner
    }
}

impl UdpSocket {
    /// Takes an address, or the first of several that works; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EACCES`; `InvalidInput` for a name: see
    /// [`UdpSocket::bind_name`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        Self::bind_with(target, UdpOptions::default())
    }

    /// Takes an address, with options.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        let bind = |handle: &_, addr| net::UdpSocket::bind_with(handle, addr, options);
        let inner = bind_addr(target, bind)?;
        Ok(UdpSocket { inner })
    }

    /// Takes the first address of a name that works. The name is looked up on another thread. Cancel safe.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`]; and those of a failed look-up.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn bind_name(target: impl ToTarget) -> io::Result<Self> {
        Self::bind_name_with(target, UdpOptions::default()).await
    }

    /// Takes the first address of a name that works, with options: see [`UdpSocket::bind_name`].
    ///
    /// # Errors
    /// As [`UdpSocket::bind_name`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn bind_name_with(target: impl ToTarget, options: UdpOptions) -> io::Result<Self> {
        let bind = |handle: &_, addr| net::UdpSocket::bind_with(handle, addr, options);
        let inner = bind_name(target, bind).await?;
        Ok(UdpSocket { inner })
    }

    /// Receives one datagram, and says who sent it. One that is longer than the buffer is cut off,
    /// which [`Datagram::is_truncated`] tells.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`: `ECONNREFUSED` on a connected socket.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(Datagram, SocketAddr)> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv_from(cx, buf))
            .await
    }

    /// Receives one datagram: [`UdpSocket::recv_from`] for a connected socket.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv(cx, buf))
            .await
    }

    /// Sends one datagram to an address, whole or not at all.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// Those of `sendto(2)`: `EMSGSIZE` when it is too long for a datagram, `ENETUNREACH`, `EACCES`.
    pub async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send_to(cx, buf, addr))
            .await
    }

    /// Sends one datagram to the peer that `connect` named, whole or not at all.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// Those of `send(2)`: `EDESTADDRREQ` when the socket is not connected, `ECONNREFUSED` when an
    /// earlier datagram found nobody, `EMSGSIZE` when it is too long.
    pub async fn send(&self, buf: &[u8]) -> io::Result<()> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send(cx, buf))
            .await
    }
    /// Receives all datagrams that are there and for which the batch has room, at least one, in one
    /// system call, and says how many.
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// See [`net::UdpSocket::poll_recv_batch`].
    pub async fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        self.source()
            .io(Direction::Read, |cx| self.poll_recv_batch(cx, batch))
            .await
    }

    /// Sends datagrams in one system call, as many as the kernel takes, and says how many went: the
    /// first ones. The rest is the caller's to send again.
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// That of the first datagram: see [`net::UdpSocket::poll_send_batch`].
    pub async fn send_batch(&self, batch: &[Outgoing<'_>]) -> io::Result<usize> {
        self.source()
            .io(Direction::Write, |cx| self.poll_send_batch(cx, batch))
            .await
    }
}
