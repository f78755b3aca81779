//! What the connections of one service share on one loop, whichever style serves them.

use crate::access::Access;
use crate::access_log::AccessLog;
use crate::budget::{RELAY_STEP_BYTES, STEP_BYTES};
use crate::client_notes::ClientNotes;
use crate::clients::Clients;
use crate::close_reason::End;
use crate::counters::{Counters, Moved};
use crate::deadlines::Limits;
use crate::options::service::WhenFull;
use crate::refusals::RefusalReason;
use crate::reports::Reports;
use crate::server::{Lifecycle, Server};
use crate::shared_service::{Settings, SharedService};
use oneloop::Handle;
use oneloop::cluster::Member;
use oneloop::net::{Addr, CHUNK_BYTES};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

/// What the connections of one service share on one loop.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) server: Arc<Server>,
    /// The service on all loops.
    pub(crate) shared: Arc<SharedService>,
    pub(crate) handle: Handle,
    /// This loop among those of the other threads.
    pub(crate) member: Member,
    /// The settings of the shared service, each in a cell: a plain load for every message.
    limits: Cell<Limits>,
    out_soft: Cell<usize>,
    out_hard: Cell<usize>,
    when_full: Cell<WhenFull>,
    access: RefCell<Option<Arc<Access>>>,
    pub(crate) client_notes: ClientNotes,
    /// The server's lifecycle as far as this loop has been notified: a plain load for every
    /// message.
    lifecycle: Cell<Lifecycle>,
    /// Clients of the callback style, which are notified; those of the other styles are tasks,
    /// which are woken and look for themselves.
    pub(crate) clients: Clients,
    /// Wakes the task that closes callback clients that are over the budget.
    pub(crate) shedder: RefCell<Waker>,
    pub(crate) reports: Reports,
    pub(crate) counters: Arc<Counters>,
    access_log: Option<AccessLog>,
}

impl Service {
    pub(crate) fn new(
        server: &Arc<Server>,
        shared: &Arc<SharedService>,
        handle: &Handle,
        member: &Member,
    ) -> Rc<Self> {
        let Settings {
            limits,
            out_soft,
            out_hard,
            when_full,
            access,
        } = shared.settings();
        Rc::new(Service {
            server: Arc::clone(server),
            shared: Arc::clone(shared),
            limits: Cell::new(limits),
            out_soft: Cell::new(out_soft),
            out_hard: Cell::new(out_hard),
            when_full: Cell::new(when_full),
            access: RefCell::new(access),
            client_notes: ClientNotes::default(),
            handle: handle.clone(),
            member: member.clone(),
            lifecycle: Cell::new(Lifecycle::Serving),
            clients: Clients::default(),
            shedder: RefCell::new(Waker::noop().clone()),
            reports: Reports::default(),
            counters: shared.tally.add_loop(),
            access_log: AccessLog::of(&shared.label(), shared.mode),
        })
    }

    /// The timeouts of its clients.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Bytes that may wait for a client before the server stops reading from it.
    #[inline]
    pub(crate) fn out_soft(&self) -> usize {
        self.out_soft.get()
    }

    /// What happens to a connection beyond `--max-conns`.
    pub(crate) fn when_full(&self) -> WhenFull {
        self.when_full.get()
    }

    /// Copies the settings of the shared service, which have changed, and notifies the clients. Those
    /// that are tasks find the notice when they are woken.
    pub(crate) fn follow_settings(&self) {
        let Settings {
            limits,
            out_soft,
            out_hard,
            when_full,
            access,
        } = self.shared.settings();
        let before = self.limits.replace(limits);
        self.out_soft.set(out_soft);
        self.out_hard.set(out_hard);
        self.when_full.set(when_full);
        let rules = self.access.replace(access);
        drop(rules);
        self.reports.notify();
        self.clients.follow_settings(before);
    }

    /// What is asked of new clients; `None` if nothing is.
    pub(crate) fn access(&self) -> Option<Arc<Access>> {
        self.access.borrow().clone()
    }

    /// Counts a client that is closed instead of served, and logs it.
    pub(crate) fn refuse(&self, reason: RefusalReason, client: Addr) {
        let refused = self.server.refusals.count(reason);
        let notice = &self.server.notices.refused[reason as usize];
        notice.log(&self.handle, (reason, refused, client));
    }

    /// Counts a client for whose thread there is no stack, and logs it.
    pub(crate) fn refuse_without_stack(&self, client: Addr, error: io::Error) {
        let refused = self.server.refusals.count(RefusalReason::NoStack);
        let event = (refused, client, error);
        self.server.notices.without_stack.log(&self.handle, event);
    }

    /// Sets the state of the lifecycle that the connections find.
    pub(crate) fn set_lifecycle(&self, lifecycle: Lifecycle) {
        self.lifecycle.set(lifecycle);
    }

    /// True if a successor accepts on the sockets of this server.
    pub(crate) fn is_left(&self) -> bool {
        // A drain without a successor passes that state, too.
        self.lifecycle.get() >= Lifecycle::Leaving && self.server.has_successor()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle.get() >= Lifecycle::Draining
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.lifecycle.get() >= Lifecycle::CuttingOff
    }

    /// Counts a connection that this loop serves.
    pub(crate) fn count_begin(&self, number: u64, peer: Addr) {
        self.counters.accepted.add(1);
        if let Some(log) = &self.access_log {
            log.begin(number, peer);
        }
    }

    /// Counts a connection that ended, and writes its line into the access log.
    pub(crate) fn count_end(&self, number: u64, end: End, moved: Option<Moved>) {
        self.counters.close(end);
        if let Some(log) = &self.access_log {
            log.end(number, end, moved);
        }
    }

    /// Returns the permit of a connection of this loop that ended.
    pub(crate) fn release_permit(&self) {
        self.server.release_permit();
        self.member.connection_ended();
    }

    /// How many bytes may be read from a client for which `queued` bytes wait. The answer may be as
    /// long as the input, so it must fit into the limits, too; 0 while the queue is full.
    ///
    /// `send_room` is a system call, so it is made only where it matters: while memory is scarce
    /// and nothing is queued.
    #[inline]
    pub(crate) fn input_bytes_max(
        &self,
        queued: usize,
        send_room: impl FnOnce() -> usize,
    ) -> usize {
        // Reading stops until the client has taken enough. TCP's flow control then slows the
        // client down, so a client that only sends costs at most `out_soft` and one read.
        if queued >= self.out_soft.get() {
            return 0;
        }
        let budget = &self.server.budget;
        let bytes_max = if budget.is_scarce() {
            // While bytes are queued the kernel has no room, by definition: do not ask.
            let send_room = || if queued == 0 { send_room() } else { 0 };
            self.out_hard
                .get()
                .min(budget.step_bytes(STEP_BYTES, send_room))
        } else {
            self.out_hard.get()
        };
        bytes_max.saturating_sub(queued)
    }

    /// How many bytes may be read from one side of a relay before the other side takes them.
    pub(crate) fn ahead_bytes_max(&self, send_room: impl FnOnce() -> usize) -> usize {
        // More than a chunk would not make a relay faster: each read is one chunk, and large
        // streams are spliced, past user space.
        let ahead = self.out_soft.get().min(CHUNK_BYTES);
        let budget = &self.server.budget;
        if budget.is_scarce() {
            ahead.min(budget.step_bytes(RELAY_STEP_BYTES, send_room))
        } else {
            ahead
        }
    }

    /// Logs that a client is closed because it got no peer.
    pub(crate) fn log_no_peer(&self, error: io::Error) {
        self.server.notices.without_peer.log(&self.handle, error);
    }
}
