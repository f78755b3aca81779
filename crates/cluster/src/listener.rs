//! The listener of one loop of a cluster.

use crate::connection::Connection;
use crate::loop_state::{ConnectionCount, LoopState};
use crate::shared_listener::{Handed, Mail, SharedListener};
use oneloop_core::Direction;
use oneloop_net::{Addr, Listener};
use oneloop_sync::{DistantReceiver, Requested};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The listener of one loop of a cluster. All loops that listen on an address share its connections
/// evenly, by their number.
///
/// ```text
///                      kernel: a hash of the addresses
///   backlog of loop 0 ◀──────────────┴──────────────▶ backlog of loop 1
///        │ accept(2)                                       │ accept(2)
///        ▼                                                 ▼
///   has loop 0 more than is fair? ── no ──▶ served here     …
///        └── yes ──▶ the fd goes to the mailbox of the loop with the fewest connections
/// ```
///
/// Nothing was read from a connection that moves, so it moves whole. Later it stays on its loop.
///
/// No connection gets lost on the way. If a mailbox is full, or its loop has just ended, the loop
/// that accepted the connection serves it. A listener that is dropped while its loop or the others
/// live on hands its mail and its socket, with the backlog, to another loop. When the cluster
/// stops, [`accept`](ClusterListener::accept) returns what is in the backlog and on its way before
/// it returns `None`.
///
/// A Unix socket has no `SO_REUSEPORT`. There all loops accept from one backlog, and the kernel wakes
/// one of those that sleep for each connection (`EPOLLEXCLUSIVE`).
pub struct ClusterListener {
    state: Rc<LoopState>,
    shared: SharedListener,
    /// Its own one, and then those of loops that have ended. Empty once accepting is over.
    listeners: RefCell<Vec<Rc<Listener>>>,
    mail: RefCell<DistantReceiver<Mail>>,
    stop: RefCell<Requested>,
    handed: Cell<u64>,
    is_over: Cell<bool>,
}

/// What became of a connection: see [`ClusterListener::place`].
#[derive(Debug)]
pub enum Placed {
    /// This loop serves it.
    Here(Connection),
    /// It is on its way to another loop.
    Elsewhere,
    /// This loop cannot take it, for lack of memory or of epoll watches: it is closed.
    Shed,
}

impl ClusterListener {
    pub(crate) fn new(state: &Rc<LoopState>, shared: &SharedListener, own: Listener) -> Self {
        ClusterListener {
            mail: RefCell::new(shared.open_mailbox(state.index)),
            stop: RefCell::new(state.shutdown.requested()),
            state: Rc::clone(state),
            shared: shared.clone(),
            listeners: RefCell::new(vec![Rc::new(own)]),
            handed: Cell::new(0),
            is_over: Cell::new(false),
        }
    }

    /// Waits for a connection. `None` once the cluster was asked to stop, and what is in the
    /// backlog was accepted.
    ///
    /// Cancel safe: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// As [`Listener::poll_accept`]: only an fd that cannot listen fails.
    pub async fn accept(&self) -> io::Result<Option<Connection>> {
        let Some(own) = self.nth(0) else {
            return Ok(None); // accepting is over
        };
        // Dropped, it ends the wait: an `accept` that lost a race keeps no loop alive.
        let accept = own.source().io(Direction::Read, |cx| self.poll_accept(cx));
        accept.await
    }

    /// Waits for a connection: see [`ClusterListener::accept`].
    ///
    /// # Errors
    /// As [`Listener::poll_accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        loop {
            match self.poll_handed(cx) {
                Poll::Ready(Some(handed)) => return Poll::Ready(Ok(Some(handed))),
                Poll::Ready(None) => {
                    self.listeners.take(); // closes them
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending if self.is_over.get() => return Poll::Pending,
                Poll::Pending => {}
            }
            let stops = self.poll_stop(cx);
            match self.poll_fd(cx, stops)? {
                Poll::Ready((fd, peer)) => {
                    if let Placed::Here(connection) = self.place(fd, peer) {
                        return Poll::Ready(Ok(Some(connection)));
                    }
                }
                Poll::Pending if stops && !self.may_come() => self.close(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Waits for a connection that another loop hands to this one; `None` once no more can come,
    /// after [`close`](ClusterListener::close). Together with
    /// [`listener`](ClusterListener::listener), [`place`](ClusterListener::place) and
    /// [`close`](ClusterListener::close) it is for servers that decide themselves when they accept;
    /// [`accept`](ClusterListener::accept) is all four.
    pub fn poll_handed(&self, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        if self.state.shared.loops() == 1 && !self.is_over.get() {
            return Poll::Pending;
        }
        loop {
            // Rule 15: connections that are handed over have their share as those that are accepted.
            let _ = ready!(self.state.handle.poll_io(cx, || Ok(0)));
            let mail = ready!(self.mail.borrow_mut().poll_receive(cx));
            match mail {
                Some(Mail::Connection(handed)) => {
                    if let Some(connection) = self.take(handed) {
                        return Poll::Ready(Some(connection));
                    }
                }
                Some(Mail::Socket(fd)) => self.inherit(fd),
                None => return Poll::Ready(None),
            }
        }
    }

    /// This loop's own socket.
    ///
    /// # Panics
    /// Once [`accept`](ClusterListener::accept) has returned `None`.
    pub fn listener(&self) -> Rc<Listener> {
        self.nth(0).expect("accepting is not over")
    }

    /// Decides which loop serves a connection that
    /// [`poll_accept_fd`](Listener::poll_accept_fd) of this loop's [`Listener`] has returned.
    pub fn place(&self, fd: OwnedFd, peer: Addr) -> Placed {
        match self.shared.balance(self.state.index, fd, peer) {
            None => {
                self.handed.set(self.handed.get() + 1);
                Placed::Elsewhere
            }
            Some((fd, peer)) => self.adopt(fd, peer).map_or(Placed::Shed, Placed::Here),
        }
    }

    /// Ends accepting: other loops can hand no more connections to this one.
    /// [`poll_handed`](ClusterListener::poll_handed) still returns those that are on their way.
    pub fn close(&self) {
        self.is_over.set(true);
        self.refuse_mail();
    }

    /// The number of connections that this loop has accepted and handed to others. Those that it
    /// serves are counted by [`Listener::stats`].
    pub fn handed(&self) -> u64 {
        self.handed.get()
    }

    /// True after [`ClusterListener::close`].
    pub fn is_closed(&self) -> bool {
        self.is_over.get()
    }

    /// The address on which all loops listen, with the port that the kernel chose in place of 0.
    pub fn local_addr(&self) -> &Addr {
        self.shared.local_addr()
    }

    /// The name of this address for the other loops.
    pub fn shared(&self) -> &SharedListener {
        &self.shared
    }

    fn poll_stop(&self, cx: &mut Context<'_>) -> bool {
        Pin::new(&mut *self.stop.borrow_mut()).poll(cx).is_ready()
    }

    /// The next connection of this loop's sockets.
    fn poll_fd(&self, cx: &mut Context<'_>, stops: bool) -> Poll<io::Result<(OwnedFd, Addr)>> {
        let mut index = 0;
        while let Some(listener) = self.nth(index) {
            if stops {
                // The loop's last look at the backlog may be out of date: ask the kernel.
                listener.source().assume_ready(Direction::Read);
            }
            match listener.poll_accept_fd(cx) {
                Poll::Pending => index += 1,
                // An inherited socket that is unusable: this loop has one of its own.
                Poll::Ready(Err(_)) if index > 0 => drop(self.listeners.borrow_mut().remove(index)),
                ready => return ready,
            }
        }
        Poll::Pending
    }

    fn nth(&self, index: usize) -> Option<Rc<Listener>> {
        self.listeners.borrow().get(index).cloned()
    }

    /// True if a backlog may have a connection although the last poll returned none: the task has
    /// had its share of I/O, or accepting pauses for lack of fds.
    fn may_come(&self) -> bool {
        let listeners = self.listeners.borrow();
        let mut listeners = listeners.iter();
        listeners
            .any(|listener| listener.source().is_ready(Direction::Read) && !listener.is_failing())
    }

    fn adopt(&self, fd: OwnedFd, peer: Addr) -> Option<Connection> {
        let count = ConnectionCount::new(&self.state);
        let socket = self.listener().adopt(fd)?;
        Some(Connection::new(socket, peer, count))
    }

    fn take(&self, handed: Handed) -> Option<Connection> {
        let Handed { fd, peer, count } = handed;
        count.take();
        self.adopt(fd, peer)
    }

    /// Takes the socket of a loop that has ended. If this loop cannot, that one's backlog is lost.
    fn inherit(&self, fd: OwnedFd) {
        let listener = self.shared.inherit(fd);
        self.listeners
            .borrow_mut()
            .extend(listener.ok().map(Rc::new));
    }

    /// Ends accepting on sockets with which another process continues: they are removed from this
    /// loop's epoll, which their close alone would not do. Call [`close`](ClusterListener::close)
    /// first.
    pub fn leave(self) {
        for listener in self.listeners.take() {
            // Fails only for lack of fds; then the socket is closed without its removal, and wakes
            // this loop for nothing.
            let _ = Rc::into_inner(listener).map(Listener::into_fd);
        }
    }

    fn refuse_mail(&self) {
        let mail = &mut *self.mail.borrow_mut();
        self.shared.close_mailbox(self.state.index, mail);
    }
}

impl Drop for ClusterListener {
    fn drop(&mut self) {
        self.refuse_mail(); // first: what comes now would be lost
        let mail: Vec<Mail> = self.mail.borrow_mut().drain().collect();
        mail.into_iter().for_each(|mail| self.shared.pass_on(mail));
        // Once the cluster stops, each loop has accepted what was in its backlog.
        let stops = self.is_over.get() || self.state.shutdown.is_requested();
        let moves = !stops && self.shared.moves_sockets();
        for listener in self.listeners.take().into_iter().filter(|_| moves) {
            let fd = Rc::into_inner(listener).map(Listener::into_fd);
            if let Some(Ok(fd)) = fd {
                self.shared.pass_on(Mail::Socket(fd));
            }
        }
    }
}

impl fmt::Debug for ClusterListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterListener({})", self.local_addr())
    }
}
