//! A stream socket before and during its `connect(2)`: sockets of every style connect here.

use crate::addr::Addr;
use crate::socket::{self, Socket};
use oneloop_core::{Direction, Handle, Ready, Sleep};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The number of times that a connect starts over because the socket connected to itself.
const SELF_CONNECTS_MAX: u32 = 3;
/// The first pause before another attempt to reach a Unix listener whose backlog is full. Each
/// further pause is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A stream socket before its `connect(2)`, for a caller that chooses the local address.
#[derive(Debug)]
pub struct Unconnected {
    fd: OwnedFd,
    family: AddressFamily,
    kind: SocketType,
    is_bound: bool,
}

impl Unconnected {
    /// Opens a socket of the address's family.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`, `EAFNOSUPPORT`.
    pub fn to_reach(addr: &Addr) -> io::Result<Self> {
        Unconnected::new(addr.family(), SocketType::STREAM)
    }

    pub(crate) fn new(family: AddressFamily, kind: SocketType) -> io::Result<Self> {
        Ok(Unconnected {
            fd: socket::open(family, kind)?,
            family,
            kind,
            is_bound: false,
        })
    }

    /// Binds this end to an address.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`.
    pub fn bind(&mut self, addr: &Addr) -> io::Result<()> {
        if let Addr::Inet(_) = addr {
            // A sandbox may forbid this. If the option was needed, bind(2) fails.
            let _ = sockopt::set_socket_reuseaddr(&self.fd, true);
        }
        net::bind(&self.fd, &addr.to_kernel()?)?;
        // A connect to itself cannot start over from an address that the caller chose.
        self.is_bound = true;
        Ok(())
    }

    /// Starts to connect: see [`Socket::connect`].
    ///
    /// # Errors
    /// As [`Socket::connect`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn connect(self, addr: &Addr) -> io::Result<Connecting> {
        let mut connecting = Connecting {
            handle: Handle::current(),
            target: addr.clone(),
            kind: self.kind,
            // A bound socket would connect to itself again: the caller chose its port.
            self_connects_left: if self.is_bound { 0 } else { SELF_CONNECTS_MAX },
            is_referenced: true,
            state: ConnectState::Finished,
        };
        connecting.begin(self, PAUSE_MIN)?;
        Ok(connecting)
    }
}

impl Socket {
    /// Starts to connect.
    ///
    /// # Errors
    /// Those errors of `socket(2)` and `connect(2)` that the kernel returns at once: `ENOENT` and
    /// `ECONNREFUSED` for a Unix socket.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn connect(addr: &Addr) -> io::Result<Connecting> {
        Unconnected::to_reach(addr)?.connect(addr)
    }
}

/// The progress of a connect.
///
/// ```text
///            EINPROGRESS               connected to itself: a new socket
///            or connected              (at most SELF_CONNECTS_MAX times)
///          ┌─────────────▶ InProgress ───────────────────────────────┐
///          │                   │                                     │
///  connect(2)                  └── OUT, no error ──▶ Finished          │
///   ▲  ▲   │                                                         │
///   │  │   └─ EAGAIN, Unix only ──▶ BacklogFull ── the pause ends ─┐ │
///   │  └───────────────────────────────────────────────────────────┘ │
///   └────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
enum ConnectState {
    InProgress(Socket),
    BacklogFull(Box<BacklogFull>),
    Finished,
}

/// A connect that waits for room in a Unix listener's backlog. connect(2) returns `EAGAIN` then,
/// and the kernel reports no event once there is room, so the connect is tried again after a pause.
#[derive(Debug)]
struct BacklogFull {
    unconnected: Unconnected,
    pause: Sleep,
    next_pause: Duration,
}

/// A connect in progress: a future that returns the connected socket. Cancel safe: dropping it
/// closes the attempt.
///
/// While the backlog of a Unix listener is full, the connect is tried again until there is room, as
/// a blocking `connect(2)` waits for that; [`Handle::timeout`] bounds the wait. A TCP connect to a
/// port of this machine on which no socket listens can connect to itself, when the kernel happens
/// to choose that port for this end. Such a socket is closed and the connect starts over, or fails
/// with `ECONNREFUSED` if the caller chose the local address.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Connecting {
    handle: Handle,
    target: Addr,
    kind: SocketType,
    self_connects_left: u32,
    is_referenced: bool,
    state: ConnectState,
}

impl Connecting {
    /// Sets whether the connect keeps the loop alive. It does by default.
    pub fn set_referenced(&mut self, referenced: bool) {
        self.is_referenced = referenced;
        match &mut self.state {
            ConnectState::InProgress(socket) => socket.source().set_referenced(referenced),
            ConnectState::BacklogFull(full) => full.pause.set_referenced(referenced),
            ConnectState::Finished => {}
        }
    }

    /// Calls `connect(2)`, and only then registers the fd (rule 6): epoll reports OUT|HUP for a
    /// stream socket that has not started to connect.
    fn begin(&mut self, unconnected: Unconnected, next_pause: Duration) -> io::Result<()> {
        let is_unix = unconnected.family == AddressFamily::UNIX;
        self.state = match net::connect(&unconnected.fd, &self.target.to_kernel()?) {
            Ok(()) => {
                // Unix sockets connect at once. OUT is assumed then, so the first poll completes
                // the connect.
                let (family, fd) = (unconnected.family, unconnected.fd);
                ConnectState::InProgress(Socket::of_family(family, &self.handle, fd)?)
            }
            Err(Errno::INPROGRESS) => {
                ConnectState::InProgress(Socket::in_progress(&self.handle, unconnected.fd)?)
            }
            // connect(2): for other families EAGAIN is a lack of routing cache entries, an error
            // like any other.
            Err(Errno::AGAIN) if is_unix => ConnectState::BacklogFull(Box::new(BacklogFull {
                unconnected,
                pause: self.handle.sleep(next_pause),
                next_pause: (2 * next_pause).min(PAUSE_MAX),
            })),
            Err(error) => return Err(error.into()),
        };
        // The new source or pause starts as referenced, whatever the caller has set before.
        self.set_referenced(self.is_referenced);
        Ok(())
    }

    /// Starts over with a new socket, after a connect to itself.
    fn start_over(&mut self) -> io::Result<()> {
        self.self_connects_left = self
            .self_connects_left
            .checked_sub(1)
            // The error of a port without a listener: only such a port lets a socket connect to
            // itself.
            .ok_or(Errno::CONNREFUSED)?;
        // A new socket gets another port from the kernel, which is unlikely to be the target's
        // again.
        let unconnected = Unconnected::new(self.target.family(), self.kind)?;
        self.begin(unconnected, PAUSE_MIN)
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            match &mut self.state {
                ConnectState::InProgress(socket) => {
                    // connect(2): the socket is writable once the connect ends.
                    ready!(socket.source().poll_ready(cx, Direction::Write))?
                }
                ConnectState::BacklogFull(full) => ready!(Pin::new(&mut full.pause).poll(cx)),
                ConnectState::Finished => {}
            }
            match std::mem::replace(&mut self.state, ConnectState::Finished) {
                ConnectState::InProgress(socket) => {
                    if may_have_failed(&socket)
                        && let Some(error) = socket.take_error()?
                    {
                        return Poll::Ready(Err(error));
                    }
                    if !is_connected_to_itself(&socket, &self.target) {
                        return Poll::Ready(Ok(socket));
                    }
                    // A reset leaves no TIME_WAIT, which would keep the port from its next owner.
                    let _ = socket.reset_on_close();
                    drop(socket);
                    self.start_over()?;
                }
                ConnectState::BacklogFull(full) => self.begin(full.unconnected, full.next_pause)?,
                ConnectState::Finished => panic!("a Connecting was polled after it completed"),
            }
        }
    }
}

impl Future for Connecting {
    type Output = io::Result<Socket>;

    /// # Panics
    /// When polled after it completed.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_connected(cx)
    }
}

/// False for a socket that is writable and nothing else: the kernel reports each failure with
/// EPOLLERR and EPOLLHUP, too. So a connect that succeeds asks for no SO_ERROR.
fn may_have_failed(socket: &Socket) -> bool {
    let source = socket.source();
    let failed = Ready::ERROR | Ready::HANG_UP;
    source.ready().intersects(failed) || source.handle().chaos_invents_readiness()
}

/// True for TCP's simultaneous open with itself (RFC 9293, section 3.5). Only a socket whose local
/// port is the target's can be connected to itself, so almost every connect costs just one
/// `getsockname(2)`.
fn is_connected_to_itself(socket: &Socket, target: &Addr) -> bool {
    let Some(target) = target.inet() else {
        return false;
    };
    let endpoint = |addr: io::Result<Addr>| addr.ok()?.inet().map(|addr| (addr.ip(), addr.port()));
    // The port is compared first: it differs for almost every connection, which saves
    // getpeername(2).
    let local = endpoint(socket.local_addr());
    local.is_some_and(|(_, port)| port == target.port()) && local == endpoint(socket.peer_addr())
}
