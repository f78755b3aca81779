//! Sockets that listen.

use super::bind::first_that_works;
use super::green_io::GreenIo;
use super::stream::{TcpStream, UnixStream};
use super::unix::UnixSeqpacket;
use oneloop_core::Direction;
use oneloop_net::{
    self as net, Addr, AsSource, ListenOptions, ListenerStats, ToTarget, ToUnixAddr,
};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Duration;

/// A listening socket of some family: [`TcpListener`], [`UnixListener`], [`UnixSeqpacketListener`].
/// Clones are the same one: see [`GreenIo`].
///
/// When the process is out of fds, accepting pauses instead of failing: see
/// [`oneloop::net::Listener`](oneloop_net::Listener).
pub type Listener<L> = GreenIo<L>;

/// A listening TCP socket: see [`Listener`].
#[doc(alias = "listen")]
pub type TcpListener = GreenIo<net::TcpListener>;

/// A listening Unix stream socket: see [`Listener`].
pub type UnixListener = GreenIo<net::UnixListener>;

/// A listening Unix socket whose connections preserve message boundaries: see [`Listener`].
pub type UnixSeqpacketListener = GreenIo<net::UnixSeqpacketListener>;

/// What each listener has, in the types of its family.
// A macro, not a trait: the documentation of each kind shows its own types.
macro_rules! listeners {
    ($($listener:ident: $connection:ident, $addr:ident;)*) => {$(
        impl $listener {
            /// Waits for a connection, and returns it with the peer's address.
            ///
            /// # Errors
            /// `EBADF` once the listener is closed; `EBUSY` while another green thread accepts;
            /// [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Panics
            /// Outside of a green thread.
            #[track_caller]
            pub fn accept(&self) -> io::Result<($connection, $addr)> {
                let (socket, peer) = self.accept_with(net::$listener::poll_accept)?;
                Ok(($connection::from(socket), peer))
            }

            /// Sets how long an accept may wait: the same as [`set_read_timeout`].
            ///
            /// [`set_read_timeout`]: GreenIo::set_read_timeout
            pub fn set_timeout(&self, timeout: Option<Duration>) {
                self.set_read_timeout(timeout);
            }
        }
    )*};
}

listeners! {
    TcpListener: TcpStream, SocketAddr;
    UnixListener: UnixStream, Addr;
    UnixSeqpacketListener: UnixSeqpacket, Addr;
}

impl<L: AsSource> Listener<L> {
    #[track_caller]
    fn accept_with<T>(
        &self,
        poll: impl Fn(&L, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        self.io(Direction::Read, |listener, cx| {
            // A paused accept is parked on a timer, not on the socket: a close has to wake it as
            // well.
            let closed = self.poll_closed_from_elsewhere(Direction::Read, cx.waker());
            closed.unwrap_or_else(|| poll(listener, cx))
        })
    }
}

impl TcpListener {
    /// Listens on the first address that works, with a backlog of 1024; with port 0 the kernel
    /// chooses one. A name is looked up on another thread.
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
        first_that_works(target, Location::caller(), bind).map(Self::from)
    }

    /// What the listener counts: connections accepted, shed and failed.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn stats(&self) -> io::Result<ListenerStats> {
        Ok(self.get()?.stats())
    }

    /// See [`oneloop::net::Listener::shed_accepted`](oneloop_net::Listener::shed_accepted).
    pub(crate) fn shed_accepted(&self) {
        if let Ok(listener) = self.get() {
            listener.shed_accepted();
        }
    }
}

impl UnixListener {
    /// Listens on a path, or on an abstract name ([`Addr::UnixAbstract`]). The file of a path stays
    /// when the listener is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        net::UnixListener::bind(name).map(Self::from)
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
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> io::Result<Self> {
        net::UnixSeqpacketListener::bind(name).map(Self::from)
    }
}
