//! Accepting connections on one listener, from the start to the last one of a drain.

use crate::access::Access;
use crate::chat::Speaker;
use crate::dispatch::Dispatcher;
use crate::options::service::WhenFull;
use crate::refusals::RefusalReason;
use crate::server::{Lifecycle, Server};
use crate::service::Service;
use crate::shared_service::SharedService;
use oneloop::cluster::{ClusterListener, Connection, Placed};
use oneloop::core::{Direction, Sleep};
use oneloop::net::{Addr, Listener, ListenerStats};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::iter;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tracing::error;

/// Accepts on these listeners, each in a task of its own.
pub(crate) fn start(dispatcher: &Rc<Dispatcher>, listeners: Vec<ClusterListener>) {
    for listener in listeners {
        let acceptor = Acceptor::new(dispatcher, listener);
        let handle = &dispatcher.service.handle;
        handle.spawn_detached(acceptor.accept());
    }
}

/// Accepts on one listener.
///
/// ```text
///   --when-full wait:    readable ──▶ rate, permit ──▶ accept(2) ──▶ admitted ──▶ placed
///                                        └─ none: the client stays in the backlog
///   --when-full refuse:  readable ──▶ accept(2) ──▶ admitted, rate, permit ──▶ placed
///                                                      └─ none: closed, and counted
///   admitted: its address may connect, or the server has no such rule
///   placed: served by this thread, or handed with its permit to one that has fewer clients
/// ```
///
/// It begins once the server serves, and not while a predecessor accepts on the same socket. Once a
/// successor does, it leaves the backlog to that.
///
/// The fields are dropped in this order: once the acceptor is not counted any
/// more, its socket is closed, and its part in the chat over.
struct Acceptor {
    shared: ClusterListener,
    /// This thread's own socket.
    listener: Rc<Listener>,
    /// A client that it accepts may speak, so until it ends, the last word of a draining chat may
    /// be to come.
    _speaker: Speaker,
    dispatcher: Rc<Dispatcher>,
    /// Fires when `--accept-rate` allows one more client; `None` while it does.
    rate_timer: RefCell<Option<Pin<Box<Sleep>>>>,
    /// The counters of the listener that are in the server's already.
    seen: ListenerStats,
    /// The errors of the listener that are in the service's already.
    seen_errors: Vec<(i32, u64)>,
    _counted: CountedAcceptor,
}

impl Acceptor {
    fn new(dispatcher: &Rc<Dispatcher>, shared: ClusterListener) -> Self {
        let Service {
            server,
            shared: service,
            ..
        } = &*dispatcher.service;
        Acceptor {
            _speaker: service.room.speaker(),
            _counted: CountedAcceptor::new(server, service, &shared),
            dispatcher: Rc::clone(dispatcher),
            rate_timer: RefCell::default(),
            seen: ListenerStats::default(),
            seen_errors: Vec::new(),
            listener: shared.listener(),
            shared,
        }
    }

    /// Accepts until the server drains; then what is in the backlog, and no more.
    async fn accept(mut self) {
        let server = Arc::clone(&self.service().server);
        poll_fn(|cx| server.poll_lifecycle(cx, Lifecycle::Serving)).await;
        loop {
            let next = poll_fn(|cx| {
                let next = self.poll_next(cx);
                self.log_trouble();
                next
            });
            // Counters are compared after each poll, not after each client: with no fds left,
            // there is trouble and no client.
            match next.await {
                Ok(Some(connection)) => self.serve(connection),
                Ok(None) => break,
                Err(error) => {
                    error!(%error, "cannot accept any more");
                    break;
                }
            }
        }
        if self.service().is_left() {
            let Acceptor {
                shared,
                listener,
                _counted,
                ..
            } = self;
            drop(listener);
            shared.leave();
        }
    }

    /// The next connection, whose permit is taken; `None` when the drain has emptied the backlog.
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let (listener, service) = (&self.listener, self.service());
        let server = &service.server;
        if service.is_left() && !self.shared.is_closed() {
            self.shared.close();
        }
        loop {
            match self.shared.poll_handed(cx) {
                Poll::Ready(handed) => return Poll::Ready(Ok(handed)), // with its permit
                Poll::Pending if self.shared.is_closed() => return Poll::Pending,
                Poll::Pending => {}
            }
            if service.is_draining() {
                // The loop's last look at the backlog may be out of date: ask the kernel.
                listener.source().assume_ready(Direction::Read);
            }
            // When the kernel has no connection, `poll_accept` is not even called: without this
            // wait, a permit would be taken and released on every wake-up of every acceptor.
            // No permit before there is a client to use it: another listener may need it.
            ready!(listener.source().poll_ready(cx, Direction::Read))?;
            // To let clients wait, the permit comes first, and they stay in the backlog. To refuse
            // them, accept(2) comes first: a permit that is held for no client would make another
            // thread refuse its own.
            let waits = service.when_full() == WhenFull::Wait;
            let access = service.access();
            if waits {
                if let Some(access) = &access {
                    ready!(self.poll_rate(cx, access));
                }
                ready!(server.poll_permit(cx, &service.handle));
            }
            let accepted = listener.poll_accept_fd(cx);
            // Another thread was faster, or accept(2) has failed: the permit is for whichever
            // acceptor gets the next client.
            if waits && !matches!(accepted, Poll::Ready(Ok(_))) {
                server.release_permit();
            }
            match accepted {
                Poll::Ready(Ok((fd, peer))) => match self.admit(&peer, access, waits) {
                    Ok(()) => match self.shared.place(fd, peer) {
                        Placed::Here(connection) => return Poll::Ready(Ok(Some(connection))),
                        Placed::Elsewhere => {}
                        Placed::Shed => server.release_permit(),
                    },
                    Err(reason) => service.refuse(reason, peer),
                },
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // `poll_accept` may have paused after an error, with the backlog not empty. A
                    // drain waits for the end of the pause, but not for a listener whose
                    // accept(2) fails each time.
                    let may_come =
                        listener.source().is_ready(Direction::Read) && !listener.is_failing();
                    if !service.is_draining() || may_come {
                        return Poll::Pending;
                    }
                    // The next look finds what other threads have handed to this one by now; from
                    // now on they serve what they accept.
                    self.shared.close();
                }
            }
        }
    }

    /// Decides whether an accepted connection is served, and takes its permit unless it `has_waited`
    /// for that.
    ///
    /// # Errors
    /// It is not, and has no permit.
    fn admit(
        &self,
        peer: &Addr,
        access: Option<Arc<Access>>,
        has_waited: bool,
    ) -> Result<(), RefusalReason> {
        let server = &self.service().server;
        let admitted = access.map_or(Ok(()), |access| self.ask(&access, peer, has_waited));
        match admitted {
            Ok(()) if has_waited || server.try_take_permit() => Ok(()),
            Ok(()) => Err(RefusalReason::MaxConns),
            Err(reason) => {
                if has_waited {
                    server.release_permit();
                }
                Err(reason)
            }
        }
    }

    /// Asks what `access` asks of a new client.
    fn ask(&self, access: &Access, peer: &Addr, has_waited: bool) -> Result<(), RefusalReason> {
        let now = self.service().handle.now();
        access.admit_peer(peer, now)?;
        if has_waited {
            access.count_accepted(now);
        } else if !self.service().is_draining() {
            access.try_count_accepted(now)?;
        }
        Ok(())
    }

    /// Waits until `--accept-rate` allows one more client. A drain has no rate, as it has no limit.
    fn poll_rate(&self, cx: &mut Context<'_>, access: &Access) -> Poll<()> {
        let handle = &self.service().handle;
        let mut timer = self.rate_timer.borrow_mut();
        loop {
            let wait = access.wait(handle.now());
            if wait.is_zero() || self.service().is_draining() {
                *timer = None;
                return Poll::Ready(());
            }
            // Other threads take tokens, too: a timer that has fired looks again.
            let sleep = timer.get_or_insert_with(|| Box::pin(handle.sleep(wait)));
            ready!(sleep.as_mut().poll(cx));
            *timer = None;
        }
    }

    fn serve(&self, connection: Connection) {
        let (socket, peer, count) = connection.into_parts();
        count.leave(); // until the conversation returns the permit
        if let Err(error) = self.dispatcher.serve(socket, peer.clone()) {
            self.service().refuse_without_stack(peer, error);
            self.listener.shed_accepted(); // counted with the other shortages of memory
        }
    }

    /// Logs what went wrong since the last call.
    fn log_trouble(&mut self) {
        let stats = self.listener.stats();
        let before = std::mem::replace(&mut self.seen, stats);
        let shed = self.service().server.count_shed(stats.shed - before.shed);
        let has_failed = stats.failed > before.failed;
        if stats.errors > before.errors {
            self.count_errors();
        }
        let Service { server, handle, .. } = self.service();
        if let Some(why) = self.listener.last_failure().filter(|_| has_failed) {
            let accept_failed = &server.notices.accept_failed;
            accept_failed.log(handle, (stats.failed, why));
        } else if stats.pauses > before.pauses || stats.shed > before.shed {
            server.notices.shortage.log(handle, shed);
        }
    }

    /// Adds the errors since the last call to those of the service.
    #[cold]
    fn count_errors(&mut self) {
        let errors = self.listener.accept_errors();
        // In the order in which they first occurred, so the known ones come first.
        let before = self.seen_errors.iter().map(|(_, count)| *count);
        let before = before.chain(iter::repeat(0));
        let new = errors.iter().zip(before);
        let new = new.map(|((errno, count), before)| (*errno, count - before));
        self.service().shared.tally.add_accept_errors(new);
        self.seen_errors = errors;
    }

    fn service(&self) -> &Service {
        &self.dispatcher.service
    }
}

/// Counts an acceptor while it lives, and logs its loss if it ends before the server drains: by an
/// error, by a panic, or with its thread.
#[derive(Debug)]
struct CountedAcceptor {
    server: Arc<Server>,
    service: Arc<SharedService>,
    at: String,
}

impl CountedAcceptor {
    fn new(server: &Arc<Server>, service: &Arc<SharedService>, listener: &ClusterListener) -> Self {
        // Counted before its task runs: the server must not look deaf in between.
        server.add_acceptor();
        service.tally.add_listener();
        CountedAcceptor {
            server: Arc::clone(server),
            service: Arc::clone(service),
            at: listener.local_addr().to_string(),
        }
    }
}

impl Drop for CountedAcceptor {
    fn drop(&mut self) {
        // In a drop, as only that also runs for a panic and for a loop that is dropped.
        self.service.tally.remove_listener();
        let left = self.server.remove_acceptor();
        if !self.server.has_reached(Lifecycle::Leaving) {
            error!(at = self.at, left, "lost a listener");
        }
        self.server.wake_lifecycle_waiters();
    }
}
