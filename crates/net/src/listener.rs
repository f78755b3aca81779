//! A listening socket of any family, and what it does when the process runs out of fds.

use crate::addr::Addr;
use crate::socket::{FLAGS, Socket};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Sleep, Source};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, SocketType, sockopt};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How many connections wait for `accept` by default. The kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 1024;

/// When `accept` first fails for want of something, it is tried once more a moment later: those whose
/// clients have left close in the meantime.
const RETRY: Duration = Duration::from_millis(1);
/// The first pause after it failed again; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

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
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            backlog: BACKLOG,
            reuse_port: false,
            v6_only: None,
            nodelay: true,
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
    /// Times that accepting paused for want of something.
    pub pauses: u64,
}

/// A listening stream socket on a loop.
///
/// When the process runs out of fds, it closes one waiting connection with the help of an fd kept in
/// reserve, so that its client hears at once, and then pauses for 10 ms, 20 ms, … up to 1 s: it never
/// spins, and goes on within a second after fds come free.
pub struct Listener {
    source: Source,
    is_inet: bool,
    nodelay: bool,
    stats: Cell<ListenerStats>,
    /// Given up for a moment to accept a connection that must be shed.
    reserve: RefCell<Option<OwnedFd>>,
    pause: Cell<Option<Sleep>>,
    /// How long the next pause is; none before the first failure.
    next_pause: Cell<Option<Duration>>,
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
    pub fn bind(handle: &Handle, addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        Listener::bind_type(handle, addr, SocketType::STREAM, options)
    }

    pub(crate) fn bind_type(
        handle: &Handle,
        addr: &Addr,
        kind: SocketType,
        options: ListenOptions,
    ) -> io::Result<Self> {
        let fd = net::socket_with(addr.family(), kind, FLAGS, None)?;
        if let Addr::Inet(_) = addr {
            sockopt::set_socket_reuseaddr(&fd, true)?;
            sockopt::set_socket_reuseport(&fd, options.reuse_port)?;
        }
        if let (Addr::Inet(SocketAddr::V6(_)), Some(v6_only)) = (addr, options.v6_only) {
            sockopt::set_ipv6_v6only(&fd, v6_only)?;
        }
        net::bind(&fd, &addr.to_kernel()?)?;
        net::listen(&fd, options.backlog)?;
        Listener::from_fd(handle, fd, options.nodelay)
    }

    /// A socket that listens already; it must be non-blocking. `nodelay` is for TCP only.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`.
    pub fn from_fd(handle: &Handle, fd: OwnedFd, nodelay: bool) -> io::Result<Self> {
        let is_inet = matches!(Addr::of(&fd)?, Addr::Inet(_));
        Ok(Listener {
            is_inet,
            source: Source::new(handle, fd, Interest::READ, Ownership::Sole)?,
            nodelay,
            stats: Cell::default(),
            reserve: RefCell::new(open_reserve()),
            pause: Cell::new(None),
            next_pause: Cell::new(None),
        })
    }

    /// The same socket once more, for a listener on another loop: each connection goes to one of them.
    ///
    /// # Errors
    /// Those of `dup(2)`: `EMFILE`.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.source.as_fd().try_clone_to_owned()
    }

    /// Waits for a connection. A connection that is gone before it is accepted is passed over, and
    /// so is a lack of fds or memory, after a pause.
    ///
    /// # Errors
    /// Those of `accept(2)` that mean that this socket does not listen.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Addr)>> {
        loop {
            ready!(self.poll_pause(cx));
            let accepted = self.source.poll_io(cx, Direction::Read, |fd| {
                Ok(Done::one(net::acceptfrom_with(fd, FLAGS)?))
            });
            let error = match ready!(accepted) {
                Ok((fd, peer)) => match self.adopt(fd) {
                    Ok(socket) => {
                        self.recover();
                        self.count(|stats| stats.accepted += 1);
                        let peer = peer.map_or(Addr::UnixUnnamed, Addr::from_kernel);
                        return Poll::Ready(Ok((socket, peer)));
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match Errno::from_io_error(&error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => {
                    self.fall_short();
                }
                // accept(2): what went wrong on that connection's network already is its error.
                Some(errno) if is_the_connections(errno) => {}
                _ => return Poll::Ready(Err(error)),
            }
        }
    }

    fn adopt(&self, fd: OwnedFd) -> io::Result<Socket> {
        if !self.is_inet {
            return Socket::from_unix_fd(self.source.handle(), fd);
        }
        if self.nodelay {
            // It can fail only on a connection that is reset already; the first read will tell.
            let _ = sockopt::set_tcp_nodelay(&fd, true);
        }
        Socket::from_fd(self.source.handle(), fd)
    }

    fn poll_pause(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut pause) = self.pause.take() else {
            return Poll::Ready(());
        };
        let poll = Pin::new(&mut pause).poll(cx);
        if poll.is_pending() {
            self.pause.set(Some(pause));
        }
        poll
    }

    /// Rule 11. The edge that told of the connections behind this one is used up; the end of the
    /// pause stands in for it, as readiness stays marked.
    fn fall_short(&self) {
        let duration = match self.next_pause.get() {
            None => {
                self.next_pause.set(Some(PAUSE_MIN));
                RETRY
            }
            Some(duration) => {
                self.next_pause.set(Some((duration * 2).min(PAUSE_MAX)));
                self.shed();
                self.count(|stats| stats.pauses += 1);
                duration
            }
        };
        self.pause.set(Some(self.source.handle().sleep(duration)));
    }

    /// There are fds again.
    fn recover(&self) {
        self.next_pause.set(None);
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

fn is_the_connections(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::CONNABORTED
            | Errno::NETDOWN
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
    )
}
