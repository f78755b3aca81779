//! TCP: a [`Socket`] and a [`Listener`] with IP addresses.

use crate::addr::Addr;
use crate::connect::{ConnectOptions, connect};
use crate::listener::{ListenOptions, Listener};
use crate::socket::{ByteStream, Socket};
use crate::stream::AsSource;
use crate::target::{ToTarget, bind_name, bind_now};
use oneloop_core::{Direction, Source, Stream};
use oneloop_posix::Refusal;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::task::{Context, Poll};

/// A TCP connection. It dereferences to [`Socket`], which has the options and the functions of a
/// socket of any family.
#[derive(Debug)]
#[doc(alias("uv_tcp_t", "open_connection", "create_connection"))]
pub struct TcpStream {
    socket: Socket,
}

impl TcpStream {
    /// Connects to an address, to `"HOST:PORT"` or `(host, port)`, or to the first of several
    /// addresses that answers: [`TcpStream::connect_with`], with default options. Cancel safe:
    /// dropping the future closes all attempts.
    ///
    /// # Errors
    /// As [`TcpStream::connect_with`].
    pub async fn connect(target: impl ToTarget) -> io::Result<Self> {
        TcpStream::connect_with(target, ConnectOptions::default()).await
    }

    /// Connects, with options. Small writes are sent at once (`TCP_NODELAY`).
    ///
    /// A name is looked up on another thread: see [`resolve_with`](crate::resolve_with). With
    /// several addresses, the two families alternate. When one address fails, or after
    /// [`attempt_delay`](ConnectOptions::attempt_delay) without an answer, the next one is tried.
    /// The first socket that connects is returned, and the others are closed (RFC 8305, without its
    /// separate look-ups of the two families: `getaddrinfo(3)` returns both at once).
    ///
    /// Cancel safe: dropping the future closes all attempts.
    ///
    /// # Errors
    /// For one address, those of `connect(2)`: `ECONNREFUSED`, `ETIMEDOUT`, `ENETUNREACH`. For a
    /// name or several addresses a [`ConnectError`](crate::ConnectError), which lists each of them,
    /// or the error of the look-up. [`TimedOut`](io::ErrorKind::TimedOut) after the timeout.
    pub async fn connect_with(target: impl ToTarget, options: ConnectOptions) -> io::Result<Self> {
        let socket = connect(target, options).await?;
        // Some sandboxes forbid setsockopt(2). A connection works without these options.
        Refusal::pass_over(socket.set_nodelay(true))?;
        if let Some(keepalive) = options.keepalive {
            Refusal::pass_over(socket.set_keepalive(Some(keepalive)))?;
        }
        Ok(TcpStream { socket })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.into_inet()
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `ENOTCONN` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()?.into_inet()
    }
}

impl Deref for TcpStream {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl From<TcpStream> for Socket {
    /// For code that handles any family.
    fn from(stream: TcpStream) -> Self {
        stream.socket
    }
}

impl ByteStream for TcpStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// A TCP socket that listens. It dereferences to [`Listener`], which has the counters and the
/// functions of a listener of any family.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::{TcpListener, TcpStream};
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _peer) = listener.accept().await?;
///     server.write_all(b"hello").await?;
///     assert_eq!(&*client.read_chunk().await?.unwrap(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
#[doc(alias("start_server", "create_server", "uv_listen"))]
pub struct TcpListener {
    listener: Listener,
}

impl TcpListener {
    /// Listens on an address, or on the first of several that can be bound, with a backlog of 1,024
    /// connections. With port 0, the kernel chooses a port.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `InvalidInput` for a name: see [`TcpListener::bind_name`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        TcpListener::bind_with(target, ListenOptions::default())
    }

    /// Listens, with options: see [`TcpListener::bind`].
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind_with(target: impl ToTarget, options: ListenOptions) -> io::Result<Self> {
        bind_now(target, |addr| TcpListener::bind_addr(addr, options))
    }

    /// Listens on the first address of a name that can be bound. The name is looked up on another
    /// thread. Cancel safe.
    ///
    /// # Errors
    /// As [`Listener::bind`], and those of a failed look-up.
    pub async fn bind_name(target: impl ToTarget) -> io::Result<Self> {
        TcpListener::bind_name_with(target, ListenOptions::default()).await
    }

    /// Listens on the first address of a name that can be bound, with options. Cancel safe.
    ///
    /// # Errors
    /// As [`TcpListener::bind_name`].
    pub async fn bind_name_with(target: impl ToTarget, options: ListenOptions) -> io::Result<Self> {
        bind_name(target, |addr| TcpListener::bind_addr(addr, options)).await
    }

    #[track_caller]
    fn bind_addr(addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        Ok(TcpListener {
            listener: Listener::bind(&Addr::Inet(addr), options)?,
        })
    }

    /// Waits for a connection. Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`]: only an fd that cannot listen fails, so a loop of
    /// `accept().await?` survives every error of a single connection, and a lack of fds.
    #[inline]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        // The wait is the whole future, as in `ReadHalf::read`.
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
    }

    /// A stream of the connections, in place of a loop around [`accept`](TcpListener::accept). It
    /// never ends; dropping it ends its wait.
    ///
    /// Its errors are those of `accept`: only an fd that cannot listen fails.
    ///
    /// ```
    /// use futures_util::{StreamExt as _, TryStreamExt as _};
    /// use oneloop::aio::{TcpListener, TcpStream, block_on};
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let addr = listener.local_addr()?;
    ///     let clients = [TcpStream::connect(addr).await?, TcpStream::connect(addr).await?];
    ///     let peers = listener.incoming().map_ok(|(_stream, peer)| peer).take(2);
    ///     let peers: Vec<_> = peers.try_collect().await?;
    ///     assert_eq!(peers, [clients[0].local_addr()?, clients[1].local_addr()?]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("Incoming", "TcpListenerStream"))]
    pub fn incoming(&self) -> impl Stream<Item = io::Result<(TcpStream, SocketAddr)>> + Unpin {
        let source = self.listener.source();
        source.io(Direction::Read, |cx| self.poll_accept(cx))
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

    /// The address on which it listens, with the port that the kernel chose in place of 0.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()?.into_inet()
    }
}

impl Deref for TcpListener {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.listener
    }
}

impl AsSource for TcpListener {
    fn source(&self) -> &Source {
        self.listener.source()
    }
}
