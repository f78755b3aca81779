//! A listening socket of any family, and how it goes on when `accept` fails.

use crate::addr::Addr;
use crate::backoff::{Backoff, is_fatal, is_shortage};
use crate::keepalive::Keepalive;
use crate::socket::{FLAGS, Socket};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use oneloop_posix::Refusal;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, SocketType, sockopt};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

/// How many connections wait for `accept` by default. The kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 1024;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// How many connections may wait to be accepted.
    pub backlog: i32,
    /// Several sockets may listen on one port, and the kernel spreads connections over them.
    pub reuse_port: bool,
    /// An IPv6 socket does not serve IPv4 as well (`IPV6_V6ONLY`); `None` leaves it to the system.
    pub v6_only: Option<bool>,
    /// Accepted TCP connections send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// When a silent peer of an accepted TCP connection is given up; `None` leaves it to the
    /// kernel.
    pub keepalive: Option<Keepalive>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            backlog: BACKLOG,
            reuse_port: false,
            v6_only: None,
            nodelay: true,
            keepalive: None,
        }
    }
}

/// What a listener counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections accepted and closed at once, for want of an fd or of memory.
    pub shed: u64,
    /// Times that accepting failed otherwise: on a connection's network, or by a firewall's rule.
    /// [`Listener::last_failure`] tells why.
    pub failed: u64,
    /// Times that accepting paused, for want of something or after failures in a row.
    pub pauses: u64,
}

/// A listening stream socket on a loop.
///
/// When the process runs out of fds, it closes one waiting connection with the help of an fd kept
/// in reserve, so that its client hears at once, and then pauses for 10 ms, 20 ms, … up to 1 s: it
/// never spins, and goes on within a second after fds come free. It passes over every other error
/// of `accept(2)` as well, and after each eighth in a row it pauses the same way. Only an fd that
/// cannot listen ends it: see [`is_fatal`](crate::is_fatal).
pub struct Listener {
    source: Source,
    is_inet: bool,
    nodelay: bool,
    stats: Cell<ListenerStats>,
    last_failure: Cell<Option<Errno>>,
    /// Given up for a moment to accept a connection that must be shed.
    reserve: RefCell<Option<OwnedFd>>,
    backoff: Cell<Backoff>,
    /// The last call accepted a connection, and so far nobody says that it could not be served.
    has_accepted: Cell<bool>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?}, {:?})", self.source, self.stats.get())
    }
}

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)` and `listen(2)`: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
    pub fn bind(addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        Listener::bind_type(addr, SocketType::STREAM, options)
    }

    pub(crate) fn bind_type(
        addr: &Addr,
        kind: SocketType,
        options: ListenOptions,
    ) -> io::Result<Self> {
        let fd = net::socket_with(addr.family(), kind, FLAGS, None)?;
        if let Addr::Inet(_) = addr {
            // Where a sandbox forbids it, bind(2) tells whether it was needed.
            let _ = sockopt::set_socket_reuseaddr(&fd, true);
            if options.reuse_port {
                sockopt::set_socket_reuseport(&fd, true)?;
            }
            // Linux has accepted sockets inherit these, which saves their calls for each of them.
            Refusal::pass_over(sockopt::set_tcp_nodelay(&fd, options.nodelay))?;
            if let Some(keepalive) = options.keepalive {
                Refusal::pass_over(keepalive.apply(&fd))?;
            }
        }
        if let (Addr::Inet(SocketAddr::V6(_)), Some(v6_only)) = (addr, options.v6_only) {
            sockopt::set_ipv6_v6only(&fd, v6_only)?;
        }
        net::bind(&fd, &addr.to_kernel()?)?;
        net::listen(&fd, options.backlog)?;
        Listener::from_fd(fd, false)
    }

    /// A socket that listens already; it must be non-blocking. With `nodelay`, which is for TCP
    /// only, accepted connections send small writes at once (`TCP_NODELAY`): each is told so, as
    /// those that wait in the backlog already would not inherit it.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`.
    pub fn from_fd(fd: OwnedFd, nodelay: bool) -> io::Result<Self> {
        let is_inet = matches!(Addr::of(&fd)?, Addr::Inet(_));
        Ok(Listener {
            is_inet,
            source: Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?,
            nodelay,
            stats: Cell::default(),
            last_failure: Cell::new(None),
            reserve: RefCell::new(open_reserve()),
            backoff: Cell::default(),
            has_accepted: Cell::new(false),
        })
    }

    /// The same socket once more, for a listener on another loop: each connection goes to one of
    /// them.
    ///
    /// # Errors
    /// Those of `dup(2)`: `EMFILE`.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.source.as_fd().try_clone_to_owned()
    }

    /// Waits for a connection. Whatever goes wrong with one of them, or for want of fds or memory,
    /// is counted and passed over, after a pause if it lasts.
    ///
    /// # Errors
    /// Those of `accept(2)` that mean that this socket does not listen: see
    /// [`is_fatal`](crate::is_fatal).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Addr)>> {
        self.poll_accept_as(cx, |socket, peer| Ok((socket, peer)))
    }

    /// The same, with what a caller makes of each connection. One of which nothing can be made is
    /// closed, counted and passed over.
    pub(crate) fn poll_accept_as<T>(
        &self,
        cx: &mut Context<'_>,
        make: impl Fn(Socket, Addr) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if self.has_accepted.take() {
            self.recover();
        }
        loop {
            ready!(self.with_backoff(|backoff| backoff.poll_pause(cx)));
            let accepted = self.source.poll_io(cx, Direction::Read, |fd| {
                Ok(Done::one(net::acceptfrom_with(fd, FLAGS)?))
            });
            match accepted {
                Poll::Ready(Ok((fd, peer))) => {
                    let peer = peer.map_or(Addr::UnixUnnamed, Addr::from_kernel);
                    match self.adopt(fd).and_then(|socket| make(socket, peer)) {
                        Ok(made) => {
                            self.has_accepted.set(true);
                            self.count(|stats| stats.accepted += 1);
                            return Poll::Ready(Ok(made));
                        }
                        Err(error) => self.lose(&error),
                    }
                }
                Poll::Ready(Err(error)) if is_fatal(&error) => return Poll::Ready(Err(error)),
                Poll::Ready(Err(error)) if is_shortage(&error) => self.fall_short(),
                Poll::Ready(Err(error)) => self.pass_over(&error),
                Poll::Pending => {
                    if !self.source.is_ready(Direction::Read) {
                        self.with_backoff(Backoff::rest);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn adopt(&self, fd: OwnedFd) -> io::Result<Socket> {
        if !self.is_inet {
            return Socket::unix_on(self.source.handle(), fd);
        }
        if self.nodelay {
            // It can fail only on a connection that is reset already; the first read will tell.
            let _ = sockopt::set_tcp_nodelay(&fd, true);
        }
        Socket::on(self.source.handle(), fd)
    }

    /// Rule 11. The edge that told of the connections behind this one is used up; the end of the
    /// pause stands in for it, as readiness stays marked.
    fn fall_short(&self) {
        if self.with_backoff(|backoff| backoff.fall_short(&self.source)) {
            self.shed();
            self.count(|stats| stats.pauses += 1);
        }
    }

    /// What failed may be the connection, which the kernel has dropped then, or accepting as such.
    fn pass_over(&self, error: &io::Error) {
        self.last_failure.set(Errno::from_io_error(error));
        let pauses = self.with_backoff(|backoff| backoff.fail(&self.source));
        self.count(|stats| {
            stats.failed += 1;
            stats.pauses += u64::from(pauses);
        });
    }

    /// A connection was accepted, and closed as it cannot be had on this loop.
    fn lose(&self, error: &io::Error) {
        if is_shortage(error) {
            self.pause_after_shed();
        } else {
            self.pass_over(error);
        }
    }

    /// For a caller that closed the connection that it accepted last, for want of memory to serve
    /// it: the connection counts as shed, and accepting pauses as if `accept` itself had failed so.
    pub fn shed_accepted(&self) {
        if self.has_accepted.take() {
            self.count(|stats| stats.accepted -= 1);
            self.pause_after_shed();
        }
    }

    fn pause_after_shed(&self) {
        let lasts = self.with_backoff(|backoff| backoff.fall_short(&self.source));
        self.count(|stats| {
            stats.shed += 1;
            stats.pauses += u64::from(lasts);
        });
    }

    /// A pause's end wakes foreign code, so nothing is borrowed meanwhile (rule 2).
    fn with_backoff<T>(&self, f: impl FnOnce(&mut Backoff) -> T) -> T {
        let mut backoff = self.backoff.take();
        let result = f(&mut backoff);
        self.backoff.set(backoff);
        result
    }

    /// Accepting works again.
    fn recover(&self) {
        self.with_backoff(Backoff::succeed);
        if self.reserve.borrow().is_none() {
            self.reserve.replace(open_reserve());
        }
    }

    /// Accepts one connection with the reserve's fd and closes it.
    fn shed(&self) {
        let reserve = self.reserve.take();
        if reserve.is_some() {
            drop(reserve);
            if net::accept_with(&self.source, FLAGS).is_ok() {
                self.count(|stats| stats.shed += 1);
            }
        }
        self.reserve.replace(open_reserve());
    }

    fn count(&self, change: impl FnOnce(&mut ListenerStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// What it counted so far.
    pub fn stats(&self) -> ListenerStats {
        self.stats.get()
    }

    /// Why accepting failed the last time that it was not for want of fds or memory.
    pub fn last_failure(&self) -> Option<io::Error> {
        self.last_failure.get().map(io::Error::from)
    }

    /// True while accepting pauses because it fails again and again, other than for want of fds or
    /// memory: it is unknown when it will work again.
    pub fn is_failing(&self) -> bool {
        self.with_backoff(|backoff| backoff.is_failing())
    }

    /// Where it listens: the real port, where 0 was asked for.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The fd's registration, for what is not here.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

fn open_reserve() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}
