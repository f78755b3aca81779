//! A stream socket before it is connected, and its connect: the one place in which sockets of every
//! style connect.

use crate::addr::Addr;
use crate::socket::{FLAGS, Socket};
use oneloop_core::{Direction, Handle, Sleep};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How often a connect begins anew because the socket got connected to itself.
const SELF_CONNECTS_MAX: u32 = 3;
/// The first pause before a Unix socket whose listener's backlog is full is tried again; each
/// further pause is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A stream socket before its `connect(2)`, for a caller that chooses the address it connects from.
#[derive(Debug)]
pub struct Unconnected {
    fd: OwnedFd,
    family: AddressFamily,
    kind: SocketType,
    is_bound: bool,
}

impl Unconnected {
    /// A socket of that address's family.
    ///
    /// # Errors
    /// Those of `socket(2)`: `EMFILE`, `EAFNOSUPPORT`.
    pub fn to_reach(addr: &Addr) -> io::Result<Self> {
        Unconnected::new(addr.family(), SocketType::STREAM)
    }

    pub(crate) fn new(family: AddressFamily, kind: SocketType) -> io::Result<Self> {
        Ok(Unconnected {
            fd: net::socket_with(family, kind, FLAGS, None)?,
            family,
            kind,
            is_bound: false,
        })
    }

    /// Gives this end an address.
    ///
    /// # Errors
    /// Those of `bind(2)`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`.
    pub fn bind(&mut self, addr: &Addr) -> io::Result<()> {
        if let Addr::Inet(_) = addr {
            // Where a sandbox forbids it, bind(2) tells whether it was needed.
            let _ = sockopt::set_socket_reuseaddr(&self.fd, true);
        }
        net::bind(&self.fd, &addr.to_kernel()?)?;
        self.is_bound = true;
        Ok(())
    }

    /// Begins to connect: see [`Socket::connect`].
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect(self, addr: &Addr) -> io::Result<Connecting> {
        let mut connecting = Connecting {
            handle: Handle::current(),
            target: addr.clone(),
            kind: self.kind,
            self_connects_left: if self.is_bound { 0 } else { SELF_CONNECTS_MAX },
            is_referenced: true,
            state: State::Over,
        };
        connecting.begin(self, PAUSE_MIN)?;
        Ok(connecting)
    }
}

/// How far a connect is.
///
/// ```text
///          ┌──────── connected to itself: a new socket ────────┐
///          ▼                                                   │
/// begin ──connect(2)──▶ UnderWay ──the kernel is done──────────┴──▶ Over
///   ▲ └────EAGAIN─────▶ BacklogFull ──a pause later──┐
///   └────────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
enum State {
    UnderWay(Socket),
    BacklogFull(Box<BacklogFull>),
    Over,
}

/// unix(7) has no event for a backlog that has room again, so the connect is tried again.
#[derive(Debug)]
struct BacklogFull {
    unconnected: Unconnected,
    pause: Sleep,
    next_pause: Duration,
}

/// A connect that is under way: a future of the connected socket. Dropping it gives up.
///
/// A Unix listener whose backlog is full is tried again until it has room, as a blocking
/// `connect(2)` waits for that; [`Handle::timeout`] bounds the wait. A TCP connect to a port of
/// this machine on which nothing listens can meet itself, when the kernel happens to choose that
/// port for this end; such a socket is closed and the connect begins anew, or fails with
/// `ECONNREFUSED` if the caller chose the address.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Connecting {
    handle: Handle,
    target: Addr,
    kind: SocketType,
    self_connects_left: u32,
    is_referenced: bool,
    state: State,
}

impl Connecting {
    /// Says whether the connect keeps the loop alive; it does by default.
    pub fn set_referenced(&mut self, referenced: bool) {
        self.is_referenced = referenced;
        match &mut self.state {
            State::UnderWay(socket) => socket.source().set_referenced(referenced),
            State::BacklogFull(full) => full.pause.set_referenced(referenced),
            State::Over => {}
        }
    }

    /// Rule 6: the fd is registered after `connect(2)`, as before it the kernel says OUT|HUP.
    fn begin(&mut self, unconnected: Unconnected, next_pause: Duration) -> io::Result<()> {
        let is_unix = unconnected.family == AddressFamily::UNIX;
        self.state = match net::connect(&unconnected.fd, &self.target.to_kernel()?) {
            Ok(()) => {
                let (family, fd) = (unconnected.family, unconnected.fd);
                State::UnderWay(Socket::of_family(family, &self.handle, fd)?)
            }
            Err(Errno::INPROGRESS) => {
                State::UnderWay(Socket::in_progress(&self.handle, unconnected.fd)?)
            }
            Err(Errno::AGAIN) if is_unix => State::BacklogFull(Box::new(BacklogFull {
                unconnected,
                pause: self.handle.sleep(next_pause),
                next_pause: (2 * next_pause).min(PAUSE_MAX),
            })),
            Err(error) => return Err(error.into()),
        };
        self.set_referenced(self.is_referenced);
        Ok(())
    }

    /// Connects once more, with a new socket, after a connect that met itself.
    fn begin_anew(&mut self) -> io::Result<()> {
        self.self_connects_left = self
            .self_connects_left
            .checked_sub(1)
            .ok_or(Errno::CONNREFUSED)?;
        let unconnected = Unconnected::new(self.target.family(), self.kind)?;
        self.begin(unconnected, PAUSE_MIN)
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            match &mut self.state {
                State::UnderWay(socket) => {
                    ready!(socket.source().poll_ready(cx, Direction::Write))?
                }
                State::BacklogFull(full) => ready!(Pin::new(&mut full.pause).poll(cx)),
                State::Over => {}
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::UnderWay(socket) => {
                    if let Some(error) = socket.take_error()? {
                        return Poll::Ready(Err(error));
                    }
                    if !is_connected_to_itself(&socket, &self.target) {
                        return Poll::Ready(Ok(socket));
                    }
                    let _ = socket.reset_on_close(); // without TIME_WAIT, the port is free at once
                    drop(socket);
                    self.begin_anew()?;
                }
                State::BacklogFull(full) => self.begin(full.unconnected, full.next_pause)?,
                State::Over => panic!("a Connecting is not polled after its end"),
            }
        }
    }
}

impl Future for Connecting {
    type Output = io::Result<Socket>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_connected(cx)
    }
}

/// True for TCP's simultaneous open with itself (RFC 9293, section 3.5). Only a socket with the
/// target's own port can have met itself, so almost every connect is done with one
/// `getsockname(2)`.
fn is_connected_to_itself(socket: &Socket, target: &Addr) -> bool {
    let Some(target) = target.inet() else {
        return false;
    };
    let place = |addr: io::Result<Addr>| addr.ok()?.inet().map(|addr| (addr.ip(), addr.port()));
    let local = place(socket.local_addr());
    local.is_some_and(|(_, port)| port == target.port()) && local == place(socket.peer_addr())
}
