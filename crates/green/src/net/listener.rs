//! Sockets that listen.

use super::open::Open;
use super::stream::{Stream, TcpStream, UnixStream};
use crate::wait::wait_io;
use oneloop_core::{Direction, Handle};
use oneloop_net::{self as net, Addr, ListenOptions, ToTarget};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

/// A TCP socket that listens; clones are the same one. A lack of fds is no error but a pause: see
/// [`net::Listener`].
#[derive(Clone, Debug)]
pub struct TcpListener {
    open: Rc<Open<net::TcpListener>>,
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
        let handle = Handle::current();
        let resolve = target.to_target()?.resolve(&handle);
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for addr in wait_io(resolve, Location::caller())? {
            match net::TcpListener::bind(&handle, addr, options) {
                Ok(listener) => {
                    let open = Open::new(listener, |listener| listener.listener().source());
                    return Ok(TcpListener { open });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
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
        let accept = |listener: &net::TcpListener, cx: &mut Context<'_>| listener.poll_accept(cx);
        let (socket, peer) = self.open.io(Direction::Read, accept)?;
        Ok((Stream::new(socket), peer))
    }

    /// How long [`TcpListener::accept`] waits at most; `None`, as at first, is for ever. With zero it
    /// never waits: see [`Stream::set_read_timeout`](super::Stream::set_read_timeout).
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Read, timeout);
    }

    /// Stops listening, for all clones; who waits for a connection is woken with `EBADF`.
    pub fn close(&self) {
        self.open.close();
    }

    /// Where it listens: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`; `EBADF` once it is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.open.get()?.local_addr()
    }
}

/// A Unix socket that listens; clones are the same one.
#[derive(Clone, Debug)]
pub struct UnixListener {
    open: Rc<Open<net::UnixListener>>,
}

impl UnixListener {
    /// Listens on a path. The file stays when this is dropped.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE` also for a file that an earlier listener left.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let addr = Addr::UnixPath(path.as_ref().into());
        let options = ListenOptions::default();
        let listener = net::UnixListener::bind(&Handle::current(), &addr, options)?;
        let open = Open::new(listener, |listener| listener.listener().source());
        Ok(UnixListener { open })
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
        let accept = |listener: &net::UnixListener, cx: &mut Context<'_>| listener.poll_accept(cx);
        let (socket, peer) = self.open.io(Direction::Read, accept)?;
        Ok((Stream::new(socket), peer))
    }

    /// As [`TcpListener::set_timeout`].
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.open.set_timeout(Direction::Read, timeout);
    }

    /// As [`TcpListener::close`].
    pub fn close(&self) {
        self.open.close();
    }
}
