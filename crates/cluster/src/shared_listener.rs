//! One address on which all loops of a cluster listen, and the mailboxes of its listeners.

use crate::shared::ClusterState;
use oneloop_core::Handle;
use oneloop_core::concurrency::{AtomicBool, Mutex};
use oneloop_net::{Addr, ListenOptions, Listener};
use oneloop_sync::{DistantReceiver, DistantSender, TrySendError, distant_channel};
use rustix::net::sockopt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// The number of connections that may be on their way to one listener: what threads share stays
/// bounded. A loop whose mailbox is full serves what it has accepted.
pub(crate) const MAIL_MAX: usize = 128;

/// A connection on its way to the loop that serves it. It is counted there already.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) fd: OwnedFd,
    pub(crate) peer: Addr,
    /// Dropped last, when the connection is closed.
    pub(crate) count: HandedCount,
}

/// Counts a connection for the loop to which it is handed, unless that takes the count over.
#[derive(Debug)]
pub(crate) struct HandedCount {
    shared: Arc<ClusterState>,
    index: usize,
    is_taken: bool,
}

impl HandedCount {
    fn new(shared: &Arc<ClusterState>, index: usize) -> Self {
        HandedCount {
            shared: Arc::clone(shared),
            index,
            is_taken: false,
        }
    }

    /// The connection has arrived.
    pub(crate) fn take(mut self) {
        self.is_taken = true;
    }
}

impl Drop for HandedCount {
    fn drop(&mut self) {
        if !self.is_taken {
            self.shared.take_back(self.index);
        }
    }
}

/// What loops send to the listener of another one.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A fresh connection: nothing was read from it.
    Connection(Handed),
    /// The listening socket of a loop that has ended, with its backlog.
    Socket(OwnedFd),
}

#[derive(Debug)]
struct Mailbox {
    sender: DistantSender<Mail>,
    /// The loop's end, until its listener takes it.
    receiver: Mutex<Option<DistantReceiver<Mail>>>,
    /// The loop listens. A hint: the channel itself refuses what comes too late.
    is_open: AtomicBool,
}

/// One address on which all loops of a cluster listen, for any of their threads:
/// [`Member::listen_shared`](crate::Member::listen_shared) makes the listener of a loop. A clone is
/// another handle to the same.
#[derive(Clone, Debug)]
pub struct SharedListener {
    state: Arc<ListenerState>,
}

#[derive(Debug)]
struct ListenerState {
    shared: Arc<ClusterState>,
    addr: Addr,
    options: ListenOptions,
    sockets: Sockets,
    /// A loop that ends hands its socket to another one.
    moves_sockets: bool,
    mailboxes: Box<[Mailbox]>,
}

/// Where the loops get their sockets from.
#[derive(Debug)]
enum Sockets {
    /// Each loop binds one, with `SO_REUSEPORT`.
    Bound,
    /// Each loop duplicates this one: unix(7) has no `SO_REUSEPORT`.
    One(OwnedFd),
    /// Another process has opened them. Each loop takes its own, once.
    Adopted(Mutex<Vec<Option<OwnedFd>>>),
}

impl SharedListener {
    /// Shares the address of a listener, which listens alone so far, and returns it, unless
    /// [`bind`](SharedListener::bind) makes one for this loop as well. `options` are those with which
    /// it was bound; the listeners of the other loops get the same.
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `dup(2)`.
    pub(crate) fn of(
        shared: &Arc<ClusterState>,
        listener: Listener,
        options: ListenOptions,
        moves_sockets: bool,
    ) -> io::Result<(Self, Option<Listener>)> {
        let addr = listener.local_addr()?;
        let mut options = ListenOptions {
            reuse_port: true,
            ..options
        };
        let (own, sockets) = match addr {
            Addr::Inet(inet) => {
                // Before bind(2), the option would share the port with other programs that set it.
                // The kernel shares a port between sockets that all have the option, so the first
                // one sets it once it listens alone.
                if shared.loops() > 1 {
                    sockopt::set_socket_reuseport(&listener, true)?;
                }
                if inet.is_ipv6() {
                    options.v6_only = Some(sockopt::ipv6_v6only(&listener)?);
                }
                (Some(listener), Sockets::Bound)
            }
            _ if shared.loops() > 1 => (None, Sockets::One(listener.into_fd()?)),
            _ => (Some(listener), Sockets::Bound), // no other loop needs it
        };
        // A loop that ends may have been woken for a connection in the backlog of all.
        let moves_sockets = moves_sockets || matches!(sockets, Sockets::One(_));
        let shared = SharedListener::with(shared, addr, options, sockets, moves_sockets);
        Ok((shared, own))
    }

    /// Shares sockets of one address that another process has opened. If there are fewer than
    /// loops, some loops share a backlog.
    ///
    /// # Errors
    /// As [`Listener::prepare_fd`]; those of `dup(2)`.
    ///
    /// # Panics
    /// If there is no socket, or one more than loops.
    #[track_caller]
    pub(crate) fn adopt(
        shared: &Arc<ClusterState>,
        fds: Vec<OwnedFd>,
        options: ListenOptions,
    ) -> io::Result<Self> {
        let (sockets, loops) = (fds.len(), shared.loops());
        assert!((1..=loops).contains(&sockets), "each loop takes one socket");
        for fd in &fds {
            Listener::prepare_fd(fd, options)?;
        }
        let addr = Listener::addr_of_fd(&fds[0])?;
        let copies = (sockets..loops).map(|index| fds[index % sockets].try_clone());
        let copies = copies.collect::<io::Result<Vec<_>>>()?;
        let fds = fds.into_iter().chain(copies).map(Some).collect();
        let fds = Sockets::Adopted(Mutex::new(fds));
        let are_shared = sockets < loops;
        Ok(SharedListener::with(shared, addr, options, fds, are_shared))
    }

    fn with(
        shared: &Arc<ClusterState>,
        addr: Addr,
        options: ListenOptions,
        sockets: Sockets,
        moves_sockets: bool,
    ) -> Self {
        let mailbox = || {
            let (sender, receiver) = distant_channel(MAIL_MAX);
            Mailbox {
                sender,
                receiver: Mutex::new(Some(receiver)),
                is_open: AtomicBool::new(false),
            }
        };
        SharedListener {
            state: Arc::new(ListenerState {
                shared: Arc::clone(shared),
                addr,
                options,
                moves_sockets,
                sockets,
                mailboxes: (0..shared.loops()).map(|_| mailbox()).collect(),
            }),
        }
    }

    /// The address, with the port that the kernel chose in place of 0.
    pub fn local_addr(&self) -> &Addr {
        &self.state.addr
    }

    /// Puts the socket of a loop that has ended on this one, to accept what is in its backlog.
    ///
    /// # Errors
    /// As [`Listener::from_fd`].
    pub(crate) fn inherit(&self, fd: OwnedFd) -> io::Result<Listener> {
        match self.state.sockets {
            Sockets::Bound => Listener::from_fd(fd, false), // connections inherit the option from the socket
            Sockets::One(_) | Sockets::Adopted(_) => Listener::from_duplicate(fd),
        }
    }

    /// True if a loop that ends hands its socket to another one.
    pub(crate) fn moves_sockets(&self) -> bool {
        self.state.moves_sockets
    }

    /// The socket of one more loop. For a Unix address it is a duplicate of the same socket, and the
    /// kernel wakes one of the loops for each connection.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EMFILE`.
    ///
    /// # Panics
    /// If the loop has taken its adopted socket before.
    #[track_caller]
    pub(crate) fn bind(&self, index: usize, handle: &Handle) -> io::Result<Listener> {
        let ListenerState {
            addr,
            options,
            sockets,
            ..
        } = &*self.state;
        handle.enter(|| match sockets {
            Sockets::Bound => Listener::bind(addr, *options),
            Sockets::One(fd) => Listener::from_duplicate(fd.try_clone()?),
            // As a duplicate, because the other process may keep the socket open: then only an
            // explicit removal takes it out of this loop's epoll.
            Sockets::Adopted(fds) => {
                let fd = fds.lock().unwrap_or_else(PoisonError::into_inner)[index].take();
                Listener::from_duplicate(fd.expect("each loop takes its socket once"))
            }
        })
    }

    /// Opens the mailbox of a loop.
    ///
    /// # Panics
    /// If the loop opened it before.
    #[track_caller]
    pub(crate) fn open_mailbox(&self, index: usize) -> DistantReceiver<Mail> {
        let mailbox = &self.state.mailboxes[index];
        let receiver = mailbox.receiver.lock();
        let receiver = receiver.unwrap_or_else(PoisonError::into_inner).take();
        let mut receiver = receiver.expect("each loop has one listener for an address");
        // The listener itself keeps the loop alive while it waits.
        receiver.set_referenced(false);
        mailbox.is_open.store(true, Ordering::Relaxed);
        receiver
    }

    /// No loop may send to that one from now on.
    pub(crate) fn close_mailbox(&self, index: usize, receiver: &mut DistantReceiver<Mail>) {
        self.state.mailboxes[index]
            .is_open
            .store(false, Ordering::Relaxed);
        receiver.close();
    }

    fn is_open(&self, index: usize) -> bool {
        self.state.mailboxes[index].is_open.load(Ordering::Relaxed)
    }

    /// Decides which loop serves a connection that the loop `own` has accepted, counts it there,
    /// and sends it there. Returns it if it is this one.
    pub(crate) fn balance(&self, own: usize, fd: OwnedFd, peer: Addr) -> Option<(OwnedFd, Addr)> {
        let loads = &self.state.shared.loads;
        let index = loads.place(own, |index| self.is_open(index));
        if index == own {
            return Some((fd, peer));
        }
        let Mail::Connection(Handed { fd, peer, count }) = self.send(index, fd, peer).err()? else {
            return None; // a connection was sent, and so one comes back
        };
        // That mailbox is full, or its loop has just ended: nothing is lost, as this loop serves it.
        drop(count);
        loads.add(own);
        Some((fd, peer))
    }

    /// Sends a connection that is counted for that loop.
    fn send(&self, index: usize, fd: OwnedFd, peer: Addr) -> Result<(), Mail> {
        let count = HandedCount::new(&self.state.shared, index);
        let mail = Mail::Connection(Handed { fd, peer, count });
        self.state.mailboxes[index]
            .sender
            .try_send(mail)
            .map_err(into_mail)
    }

    /// Sends what a loop that ends had in its mailbox to a loop that listens, if there is one.
    pub(crate) fn pass_on(&self, mail: Mail) {
        let loads = &self.state.shared.loads;
        let is_open = |index| self.is_open(index);
        match mail {
            Mail::Connection(Handed { fd, peer, count }) => {
                drop(count);
                if let Some(index) = loads.place_elsewhere(is_open) {
                    let _ = self.send(index, fd, peer); // or closes it: that loop ends as well
                }
            }
            Mail::Socket(fd) => {
                let mut mail = Some(Mail::Socket(fd));
                let open = |(index, _): &(usize, &Mailbox)| is_open(*index);
                for (_, mailbox) in self.state.mailboxes.iter().enumerate().filter(open) {
                    let Some(sent) = mail.take() else { break };
                    mail = mailbox.sender.try_send(sent).err().map(into_mail);
                }
            }
        }
    }
}

fn into_mail(refused: TrySendError<Mail>) -> Mail {
    match refused {
        TrySendError::Full(mail) | TrySendError::Closed(mail) => mail,
    }
}
