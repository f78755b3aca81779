//! Sockets that listen.

use super::bind::first_that_works;
use super::open::Open;
use super::stream::{Stream, TcpStream, UnixStream};
use super::unix::UnixSeqpacket;
use oneloop_core::Direction;
use oneloop_net::{self as net, Addr, ListenOptions, ListenerStats, ToTarget, ToUnixAddr};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A socket of some family that listens: [`TcpListener`], [`UnixListener`]. Clones are the same one.
///
/// A lack of fds is no error but a pause: see [`net::Listener`].
#[derive(Debug)]
pub struct Listener<L> {
    open: Rc<Open<L>>,
}

/// A TCP socket that listens: see [`Listener`].
pub type TcpListener = Listener<net::TcpListener>;

/// A Unix socket that listens: see [`Listener`].
pub type UnixListener = Listener<net::UnixListener>;

/// A Unix socket that listens for connections that keep the bounds of messages: see [`Listener`].
pub type UnixSeqpacketListener = Listener<net::UnixSeqpacketListener>;

impl<L> Clone for Listener<L> {
    fn clone(&self) -> Self {
        Listener {
            open: Rc::clone(&self.open),
        }
    }
}

impl<L> Listener<L> {
    /// How long an accept waits at most; `None`, as at first, is for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Read, timeout);
    }

    /// Stops listening, for all clones; who waits for a connection is woken with `EBADF`.
    pub fn close(&self) {
        self.open.close();
    }

    /// Accepting may pause, which is a wait for a timer and not for the socket: a close wakes it all the
    /// same.
    #[track_caller]
    fn accept_with<T>(
        &self,
        poll: impl Fn(&L, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        self.open.io(Direction::Read, |listener, cx| {
            let closed = self
                .open
                .poll_closed_from_elsewhere(Direction::Read, cx.waker());
            closed.unwrap_or_else(|| poll(listener, cx))
        })
    }
}

impl TcpListener {
    /// Listens on the first address that works, with a backlog of 1024; port 0 lets the kernel choose.
    /// A name is looked up on another thread.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EACCES`; and those of a failed look-up.
    ///
    /// # Panics
    /// Outside of a green thread, for a name; outside of a loop.
    #[track_caller]
    pub fn bind(target: impl ToTarget) -> io::Result<Self> {
        Self::bind_with(target, ListenOptions::default())
    }

    /// Listens, with options.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    ///
    /// # Panics
    /// As [`TcpListener::bind`].
    #[track_caller]
    pub fn bind_with(target: impl ToTarget, options: ListenOptions) -> io::Result<Self> {
        let bind = |addr| net::TcpListener::bind_with(addr, options);
        let listener = first_that_works(target, Location::caller(), bind)?;
        let open = Open::new(listener, |listener| listener.listener().source());
        Ok(Listener { open })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// `EBADF` once it is closed, by whomever; `EBUSY` if another green thread is at it;
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.accept_with(net::TcpListener::poll_accept)?;
        Ok((Stream::new(socket), peer))
    }

    /// Where it listens: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`; `EBADF` once it is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.open.get()?.local_addr()
    }

    /// What it counted: connections accepted, shed and failed.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn stats(&self) -> io::Result<ListenerStats> {
        Ok(self.open.get()?.listener().stats())
    }

    /// See [`net::Listener::shed_accepted`].
    pub(crate) fn shed_accepted(&self) {
        if let Ok(listener) = self.open.get() {
            listener.listener().shed_accepted();
        }
    }
}

impl UnixListener {
    /// Listens on a path, or on an abstract name ([`Addr::UnixAbstract`]). A file stays when this is
    /// dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let listener = net::UnixListener::bind(name)?;
        let open = Open::new(listener, |listener| listener.listener().source());
        Ok(Listener { open })
    }

    /// Waits for a connection: see [`TcpListener::accept`].
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, Addr)> {
        let (socket, peer) = self.accept_with(net::UnixListener::poll_accept)?;
        Ok((Stream::new(socket), peer))
    }
}

impl UnixSeqpacketListener {
    /// Listens on a path, or on an abstract name: see [`UnixListener::bind`].
    ///
    /// # Errors
    /// As [`UnixListener::bind`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        let listener = net::UnixSeqpacketListener::bind(name)?;
        let open = Open::new(listener, |listener| listener.listener().source());
        Ok(Listener { open })
    }

    /// Waits for a connection: see [`TcpListener::accept`].
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixSeqpacket, Addr)> {
        let (socket, peer) = self.accept_with(net::UnixSeqpacketListener::poll_accept)?;
        Ok((UnixSeqpacket::new(socket), peer))
    }
}
