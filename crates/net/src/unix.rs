//! Unix stream sockets: [`Socket`] and [`Listener`] with names in the file system or abstract ones.

use crate::addr::Addr;
use crate::listener::{ListenOptions, Listener};
use crate::socket::Socket;
use crate::stream::ByteStream;
use oneloop_core::Handle;
use rustix::net::{AddressFamily, SocketType, socketpair};
use std::io;
use std::task::{Context, Poll, ready};

use crate::socket::FLAGS;

/// A Unix stream connection.
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

impl UnixStream {
    /// Connects.
    ///
    /// # Errors
    /// Those of `connect(2)`: `ENOENT`, `ECONNREFUSED`, and `EAGAIN` when the listener's backlog is
    /// full.
    pub async fn connect(handle: &Handle, addr: &Addr) -> io::Result<Self> {
        Ok(UnixStream {
            socket: Socket::connect(handle, addr)?.await?,
        })
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair(2)`: `EMFILE`.
    pub fn pair(handle: &Handle) -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        let (a, b) = (
            Socket::from_unix_fd(handle, a)?,
            Socket::from_unix_fd(handle, b)?,
        );
        Ok((UnixStream { socket: a }, UnixStream { socket: b }))
    }
}

impl ByteStream for UnixStream {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// A Unix socket that listens. Its file stays when it is dropped: whoever bound it removes it.
#[derive(Debug)]
pub struct UnixListener {
    listener: Listener,
}

impl UnixListener {
    /// Listens on a name.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EADDRINUSE` also for a file that an earlier listener left.
    pub fn bind(handle: &Handle, addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        Ok(UnixListener {
            listener: Listener::bind(handle, addr, options)?,
        })
    }

    /// Waits for a connection: see [`Listener::poll_accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Addr)>> {
        let (socket, peer) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok((UnixStream { socket }, peer)))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        self.listener.local_addr()
    }

    /// The listener of any family inside.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }
}
