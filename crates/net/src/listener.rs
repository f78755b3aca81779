//! A listening socket of any family, which keeps accepting when `accept` fails.

use crate::addr::Addr;
use crate::backoff::{Backoff, is_fatal, is_shortage};
use crate::keepalive::Keepalive;
use crate::socket::{self, FLAGS, Socket};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use oneloop_posix::Refusal;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, SocketType, sockopt};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

/// The default number of connections that wait for `accept`. The kernel caps it at
/// `net.core.somaxconn` (listen(2)).
pub const BACKLOG: i32 = 1024;

/// How to listen.
#[derive(Clone, Copy, Debug)]
#[doc(alias("TcpSocket", "SO_REUSEPORT", "SO_REUSEADDR"))]
pub struct ListenOptions {
    /// The number of connections that may wait to be accepted.
    pub backlog: i32,
    /// Several sockets may listen on the port, and the kernel distributes connections among them
    /// (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// An IPv6 socket does not accept IPv4 connections (`IPV6_V6ONLY`). With `None` the system's
    /// default applies.
    pub v6_only: Option<bool>,
    /// Accepted TCP connections send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// When the kernel gives up the silent peer of an accepted TCP connection. With `None` the
    /// kernel's default applies.
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

/// A listener's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections accepted and closed at once, for lack of an fd or of memory.
    pub shed: u64,
    /// The number of times that accepting failed for another reason, such as the network of a
    /// connection or a firewall rule. [`Listener::last_failure`] returns the last error.
    pub failed: u64,
    /// The number of times that accepting paused, for lack of resources or after failures in a row.
    pub pauses: u64,
    /// Errors of accepting, a lack of resources included: see [`Listener::accept_errors`].
    pub errors: u64,
}

/// A listening stream socket on a loop.
///
/// ```text
///             accept4(2) succeeds: the connection is returned, the row of failures ends
///              ┌───────┐
///              ▼       │        EMFILE, ENFILE, ENOMEM, … again
///   ┌──────▶ accepting ┴──────────────────────────────────────────▶ shed one connection
///   │         │    │                                                with the reserve fd
///   │         │    └── EMFILE, …, the first time ──▶ pause of 1 ms          │
///   │         └─ every eighth other error ─┐              │                 │
///   │                                      ▼              │                 │
///   │                        pause of 10 ms, … 1 s ◀──────┼─────────────────┘
///   │                                      │              │
///   └──────── the pause ends ◀─────────────┴──────────────┘
/// ```
///
/// When the process runs out of fds, the listener closes one waiting connection with the help of a
/// reserve fd, so that its client gets an answer at once. Then it pauses: it never spins, and
/// accepts again within a second after fds become free. Only an fd that cannot listen ends
/// accepting: see [`is_fatal`](crate::is_fatal).
pub struct Listener {
    source: Source,
    is_inet: bool,
    nodelay: bool,
    stats: Cell<ListenerStats>,
    last_failure: Cell<Option<Errno>>,
    /// How often accepting has failed, by the kinds of errors that have occurred.
    errors: RefCell<Vec<(Errno, u64)>>,
    /// An open fd, closed for a moment to accept a connection that is shed.
    reserve: RefCell<Option<OwnedFd>>,
    backoff: Cell<Backoff>,
    /// The last call accepted a connection, which its caller has not reported as shed so far.
    has_accepted: Cell<bool>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?}, {:?})", self.source, self.stats.get())
    }
}

impl Listener {
    /// Listens on an address, on the current loop.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)` and `listen(2)`: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn bind(addr: &Addr, options: ListenOptions) -> io::Result<Self> {
        Listener::bind_type(addr, SocketType::STREAM, options)
    }

    #[track_caller]
    pub(crate) fn bind_type(
        addr: &Addr,
        kind: SocketType,
        options: ListenOptions,
    ) -> io::Result<Self> {
        let fd = socket::open(addr.family(), kind)?;
        if let Addr::Inet(_) = addr {
            // A sandbox may forbid this. If the option was needed, bind(2) fails. Without it,
            // connections of an earlier process in TIME_WAIT would block the address for a minute.
            let _ = sockopt::set_socket_reuseaddr(&fd, true);
            if options.reuse_port {
                sockopt::set_socket_reuseport(&fd, true)?;
            }
            set_inherited_options(fd.as_fd(), options)?;
        }
        if let (Addr::Inet(SocketAddr::V6(_)), Some(v6_only)) = (addr, options.v6_only) {
            sockopt::set_ipv6_v6only(&fd, v6_only)?;
        }
        net::bind(&fd, &addr.to_kernel()?)?;
        // Between bind(2) and here, clients are refused, as no backlog exists yet.
        net::listen(&fd, options.backlog)?;
        // False, because the connections inherit the option.
        Listener::from_fd(fd, false)
    }

    /// Puts a socket that listens already on the current loop. It must be non-blocking. With
    /// `nodelay`, for TCP only, accepted connections send small writes at once (`TCP_NODELAY`). The
    /// option is set on each connection, because those in the backlog already would not inherit it.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd, nodelay: bool) -> io::Result<Self> {
        let is_inet = matches!(Addr::of(&fd)?, Addr::Inet(_));
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        Ok(Listener::of(source, is_inet, nodelay))
    }

    /// Prepares a listening socket that another process has opened for
    /// [`Listener::from_fd`] or [`Listener::from_duplicate`]: makes it non-blocking, and sets the
    /// options that connections inherit from it, `nodelay` and `keepalive`. Connections that are in
    /// its backlog already do not get them.
    ///
    /// `O_NONBLOCK` then holds for the other process as well: the open file is the same.
    ///
    /// # Errors
    /// Those of `fcntl(2)`, `getsockname(2)` and `setsockopt(2)`.
    pub fn prepare_fd(fd: impl AsFd, options: ListenOptions) -> io::Result<()> {
        let fd = fd.as_fd();
        let flags = fs::fcntl_getfl(fd)?;
        if !flags.contains(OFlags::NONBLOCK) {
            fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
        }
        match Addr::of(fd)? {
            Addr::Inet(_) => set_inherited_options(fd, options),
            _ => Ok(()),
        }
    }

    /// The address on which the socket listens, before it is on a loop.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn addr_of_fd(fd: impl AsFd) -> io::Result<Addr> {
        Addr::of(fd)
    }

    /// Puts a duplicate of a listening socket on the current loop, of which other loops have
    /// duplicates, too: each connection wakes one of the loops that sleep, and not all of them. It
    /// must be non-blocking.
    ///
    /// All loops must accept: a loop that was woken and does not keeps its connection waiting until
    /// it does. A socket of TCP is better shared by
    /// [`reuse_port`](ListenOptions::reuse_port); a Unix socket cannot be.
    ///
    /// # Errors
    /// Those of `getsockname(2)` and `epoll_ctl(2)`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_duplicate(fd: OwnedFd) -> io::Result<Self> {
        let is_inet = matches!(Addr::of(&fd)?, Addr::Inet(_));
        let interest = Interest {
            read: true,
            ..Interest::NONE
        };
        let source = Source::new(&Handle::current(), fd, interest, Ownership::OnePerLoop)?;
        Ok(Listener::of(source, is_inet, false))
    }

    fn of(source: Source<OwnedFd>, is_inet: bool, nodelay: bool) -> Self {
        Listener {
            is_inet,
            source,
            nodelay,
            stats: Cell::default(),
            last_failure: Cell::new(None),
            errors: RefCell::default(),
            reserve: RefCell::new(open_reserve()),
            backoff: Cell::default(),
            has_accepted: Cell::new(false),
        }
    }

    /// Duplicates the socket, for a listener on another loop. Each connection goes to one of the
    /// listeners.
    ///
    /// # Errors
    /// Those of `dup(2)`: `EMFILE`.
    pub fn try_clone_fd(&self) -> io::Result<OwnedFd> {
        self.source.as_fd().try_clone_to_owned()
    }

    /// Takes the socket from this loop, for a listener on another loop: a socket that is closed
    /// instead resets the connections in its backlog.
    ///
    /// # Errors
    /// Those of `dup(2)`; the socket is closed then. The reserve fd is freed
    /// first, so the process may be out of fds.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        drop(self.reserve.take());
        let fd = self.try_clone_fd()?;
        // The duplicate would keep the registration with this loop's epoll.
        self.source.deregister();
        Ok(fd)
    }

    /// Waits for a connection. Errors of single connections, and a lack of fds or memory, are
    /// counted and passed over, with a pause if they last.
    ///
    /// # Errors
    /// Those of `accept(2)` for a socket that cannot listen: see [`is_fatal`](crate::is_fatal).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Addr)>> {
        self.poll_accept_as(cx, |socket, peer| Ok((socket, peer)))
    }

    /// Like [`Listener::poll_accept`], but returns the fd of the connection, on no loop: for a
    /// program that hands connections to other loops. [`Listener::adopt`] of a listener there puts
    /// it on that loop, and counts it as accepted.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept_fd(&self, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, Addr)>> {
        let accepted = ready!(self.poll_accept_with(cx, |fd, peer| Ok((fd, peer))))?;
        self.count(|stats| stats.accepted -= 1);
        Poll::Ready(Ok(accepted))
    }

    /// Puts a connection on this listener's loop: one that [`Listener::poll_accept_fd`] of this
    /// listener, or of another one of the same address, has accepted. `None` if the loop cannot
    /// take it, for lack of memory or of epoll watches: then the connection is closed, and counts
    /// here as shed.
    pub fn adopt(&self, fd: OwnedFd) -> Option<Socket> {
        match self.make_socket(fd) {
            Ok(socket) => {
                self.has_accepted.set(true);
                self.count(|stats| stats.accepted += 1);
                Some(socket)
            }
            Err(error) => {
                self.lose(&error);
                None
            }
        }
    }

    /// Like [`Listener::poll_accept`], and converts each connection. A connection whose conversion
    /// fails is closed, counted and passed over.
    pub(crate) fn poll_accept_as<T>(
        &self,
        cx: &mut Context<'_>,
        make: impl Fn(Socket, Addr) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.poll_accept_with(cx, |fd, peer| make(self.make_socket(fd)?, peer))
    }

    fn poll_accept_with<T>(
        &self,
        cx: &mut Context<'_>,
        make: impl Fn(OwnedFd, Addr) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        // Here, and not when the connection was accepted: until now its caller could report it as
        // shed.
        if self.has_accepted.take() {
            self.recover();
        }
        loop {
            ready!(self.with_backoff(|backoff| backoff.poll_pause(cx)));
            let accepted = self.source.poll_io(cx, Direction::Read, |fd| {
                self.source.handle().chaos_shortage()?;
                // accept4(2) sets O_NONBLOCK and CLOEXEC itself. One connection per call: the I/O
                // budget decides how many of them a run may take (rule 15).
                Ok(Done::one(net::acceptfrom_with(fd, FLAGS)?))
            });
            match accepted {
                Poll::Ready(Ok((fd, peer))) => {
                    // A Unix client without a name has an empty address.
                    let peer = peer.map_or(Addr::UnixUnnamed, Addr::from_kernel);
                    match make(fd, peer) {
                        Ok(made) => {
                            self.has_accepted.set(true);
                            self.count(|stats| stats.accepted += 1);
                            return Poll::Ready(Ok(made));
                        }
                        Err(error) => self.lose(&error),
                    }
                }
                // The caller learns only of an fd that cannot listen. Any other error would end the
                // accept loop of a server because of a single client.
                Poll::Ready(Err(error)) if is_fatal(&error) => return Poll::Ready(Err(error)),
                Poll::Ready(Err(error)) if is_shortage(&error) => {
                    self.count_error(&error);
                    self.fall_short();
                }
                Poll::Ready(Err(error)) => self.pass_over(&error),
                Poll::Pending => {
                    // Pending has two reasons: EAGAIN, which clears the readiness, or a spent
                    // budget, after which connections still wait.
                    if !self.source.is_ready(Direction::Read) {
                        self.with_backoff(Backoff::rest);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn make_socket(&self, fd: OwnedFd) -> io::Result<Socket> {
        if !self.is_inet {
            // Its reads stop behind passed fds, so a short one does not mean that no more bytes
            // wait.
            return Socket::unix_on(self.source.handle(), fd);
        }
        if self.nodelay {
            // This can fail only on a connection that is reset already. Its first read returns the
            // reset.
            let _ = sockopt::set_tcp_nodelay(&fd, true);
        }
        Socket::on(self.source.handle(), fd)
    }

    /// Rule 11. No further edge comes for the connections behind this one. The end of the pause
    /// takes the place of an edge, because the readiness bit stays set.
    fn fall_short(&self) {
        // The first shortage sheds no client: fds of closing connections often come free in a
        // millisecond.
        if self.with_backoff(|backoff| backoff.fall_short(&self.source)) {
            self.shed();
            self.count(|stats| stats.pauses += 1);
        }
    }

    /// Counts an error, either of one connection, which the kernel has then dropped, or of
    /// accepting itself.
    fn pass_over(&self, error: &io::Error) {
        self.count_error(error);
        // The errno only: an `io::Error` cannot be copied out of a cell.
        self.last_failure.set(Errno::from_io_error(error));
        let pauses = self.with_backoff(|backoff| backoff.fail(&self.source));
        self.count(|stats| {
            stats.failed += 1;
            stats.pauses += u64::from(pauses);
        });
    }

    /// Counts a connection that was accepted and closed, because the loop could not take it.
    fn lose(&self, error: &io::Error) {
        if is_shortage(error) {
            self.count_error(error);
            self.pause_after_shed();
        } else {
            self.pass_over(error);
        }
    }

    fn count_error(&self, error: &io::Error) {
        let Some(errno) = Errno::from_io_error(error) else {
            return;
        };
        self.count(|stats| stats.errors += 1);
        let mut errors = self.errors.borrow_mut();
        match errors.iter_mut().find(|(counted, _)| *counted == errno) {
            Some((_, count)) => *count += 1,
            None => errors.push((errno, 1)),
        }
    }

    /// Reports that the caller closed the last connection for lack of memory to serve it. The
    /// connection counts as shed, and accepting pauses as if `accept` itself had failed for lack of
    /// memory.
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

    /// Takes the backoff out of its cell: dropping a pause drops a waker, which is foreign code
    /// (rule 2).
    fn with_backoff<T>(&self, f: impl FnOnce(&mut Backoff) -> T) -> T {
        let mut backoff = self.backoff.take();
        let result = f(&mut backoff);
        self.backoff.set(backoff);
        result
    }

    /// Ends a row of failures, and reopens the reserve fd.
    fn recover(&self) {
        self.with_backoff(Backoff::succeed);
        if self.reserve.borrow().is_none() {
            self.reserve.replace(open_reserve());
        }
    }

    /// Accepts one connection with the reserve's fd, and closes it. A client in the backlog would
    /// wait for the end of the shortage without an answer.
    fn shed(&self) {
        let reserve = self.reserve.take();
        if reserve.is_some() {
            // The fd is free only until the accept. Another thread may take it first, so the accept
            // may fail.
            drop(reserve);
            if net::accept_with(&self.source, FLAGS).is_ok() {
                self.count(|stats| stats.shed += 1);
            }
        }
        // If this fails, the next success reopens it.
        self.reserve.replace(open_reserve());
    }

    fn count(&self, change: impl FnOnce(&mut ListenerStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    /// The counters.
    pub fn stats(&self) -> ListenerStats {
        self.stats.get()
    }

    /// How often accepting has failed so far, by the raw numbers of the errors
    /// ([`io::Error::raw_os_error`]), in the order in which they first occurred. A lack of fds or of
    /// memory counts here as well.
    ///
    /// ```
    /// use oneloop::net::{ListenOptions, Listener};
    /// let event_loop = oneloop::EventLoop::new()?;
    /// let listener = event_loop
    ///     .enter(|| Listener::bind(&"127.0.0.1:0".parse().unwrap(), ListenOptions::default()))?;
    /// assert!(listener.accept_errors().is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept_errors(&self) -> Vec<(i32, u64)> {
        let errors = self.errors.borrow();
        errors
            .iter()
            .map(|(errno, count)| (errno.raw_os_error(), *count))
            .collect()
    }

    /// The last error of accepting, other than a lack of fds or memory.
    pub fn last_failure(&self) -> Option<io::Error> {
        self.last_failure.get().map(io::Error::from)
    }

    /// True while accepting pauses after repeated failures other than a lack of fds or memory. Such
    /// a failure does not end by itself when connections close.
    pub fn is_failing(&self) -> bool {
        self.with_backoff(|backoff| backoff.is_failing())
    }

    /// The address on which it listens, with the port that the kernel chose in place of 0.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Addr::of(&self.source)
    }

    /// The fd's registration with the loop.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// Sets the options that accepted sockets inherit on Linux, which saves two calls for each
/// connection.
fn set_inherited_options(fd: BorrowedFd<'_>, options: ListenOptions) -> io::Result<()> {
    Refusal::pass_over(sockopt::set_tcp_nodelay(fd, options.nodelay))?;
    match options.keepalive {
        Some(keepalive) => Refusal::pass_over(keepalive.apply(fd)),
        None => Ok(()),
    }
}

fn open_reserve() -> Option<OwnedFd> {
    // Any file that always exists would do.
    fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}
