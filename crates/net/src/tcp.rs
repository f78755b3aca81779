//! TCP: [`Socket`] and [`Listener`] with IP addresses.

use crate::addr::Addr;
use crate::connect::{ConnectOptions, connect};
use crate::keepalive::Keepalive;
use crate::listener::{ListenOptions, Listener};
use crate::socket::Socket;
use crate::stream::ByteStream;
use crate::target::ToTarget;
use oneloop_core::Handle;
use oneloop_posix::Refusal;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// A TCP connection.
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
}

impl TcpStream {
    /// Connects: to an address, to `"HOST:PORT"`, or to whichever of several addresses answers first.
    /// [`TcpStream::connect_with`], with default options.
    ///
    /// # Errors
    /// As [`TcpStream::connect_with`].
    pub async fn connect(handle: &Handle, target: impl ToTarget) -> io::Result<Self> {
        TcpStream::connect_with(handle, target, ConnectOptions::default()).await
    }

    /// Connects, with options. Small writes are sent at once (`TCP_NODELAY`).
    ///
    /// A name is looked up on another thread: see [`resolve_with`](crate::resolve_with). Of several
    /// addresses those of the two families are tried in turn, the next one when one fails or has not
    /// answered within [`attempt_delay`](ConnectOptions::attempt_delay); the first that is connected is
    /// the one, and the others are closed (RFC 8305, without its separate look-ups of the two families:
    /// `getaddrinfo(3)` gives both at once).
    ///
    /// Cancel safe: dropping the future gives up.
    ///
    /// # Errors
    /// For one address, those of `connect(2)`: `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`. For a name or
    /// several addresses a [`ConnectError`](crate::ConnectError), which tells of each; or what the look-up
    /// says. [`TimedOut`](io::ErrorKind::TimedOut) after the time-out.
    pub async fn connect_with(
        handle: &Handle,
        target: impl ToTarget,
        options: ConnectOptions,
    ) -> io::Result<Self> {
        let socket = connect(handle, target, options).await?;
        let stream = TcpStream { socket };
        Refusal::pass_over(stream.set_nodelay(true))?;
        if let Some(keepalive) = options.keepalive {
            Refusal::pass_over(stream.set_keepalive(Some(keepalive)))?;
        }
        Ok(stream)
    }

    /// Has the kernel give up a peer that says nothing: see [`Keepalive`]. `None` has it wait for ever.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`: `EINVAL` beyond 32,767 s or 127 probes.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.socket.set_keepalive(keepalive)
    }

    /// Says whether small writes are sent at once rather than gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    /// This end's address.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.into_inet()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()?.into_inet()
    }
}

impl From<TcpStream> for Socket {
    /// For code that is for any family.
    fn from(stream: TcpStream) -> Self {
        stream.socket
    }
}

impl ByteStream for TcpStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// A TCP socket that listens.
#[derive(Debug)]
pub struct TcpListener {
    listener: Listener,
}

impl TcpListener {
    /// Listens on an address; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind(handle: &Handle, addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        Ok(TcpListener {
            listener: Listener::bind(handle, &Addr::Inet(addr), options)?,
        })
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.listener.poll_accept_as(cx, |socket, peer| {
            Ok((TcpStream { socket }, peer.into_inet()?))
        })
    }

    /// Where it listens: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()?.into_inet()
    }

    /// The listener of any family inside.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }
}
