//! What the connections of one loop share, whichever style serves them.

use crate::budget::{RELAY_STEP_BYTES, STEP_BYTES};
use crate::clients::Clients;
use crate::deadlines::Limits;
use crate::reports::Reports;
use crate::server::{Lifecycle, Server, to_bytes};
use oneloop::Handle;
use oneloop::cluster::Member;
use oneloop::core::CancelHandle;
use oneloop::net::CHUNK_BYTES;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

/// What the connections of one loop share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) server: Arc<Server>,
    pub(crate) handle: Handle,
    /// This loop among those of the other threads.
    pub(crate) member: Member,
    pub(crate) limits: Limits,
    /// Bytes that may wait for a client before the server stops reading from it.
    pub(crate) out_soft: usize,
    /// Bytes that may wait for a client at all: `--out-hard`, and no more than `--out-total`.
    out_hard: usize,
    /// The server's lifecycle as far as this loop has been notified: a plain load for every
    /// message.
    lifecycle: Cell<Lifecycle>,
    /// Clients of the callback style, which are notified; those of the other styles are tasks,
    /// which are woken and look for themselves.
    pub(crate) clients: Clients,
    /// Wakes the task that closes callback clients that are over the budget.
    pub(crate) shedder: RefCell<Waker>,
    pub(crate) reports: Reports,
    /// Tasks without an end of their own.
    endless: RefCell<Vec<CancelHandle>>,
}

impl Service {
    pub(crate) fn new(server: &Arc<Server>, handle: &Handle, member: &Member) -> Rc<Self> {
        let options = &server.options;
        Rc::new(Service {
            limits: Limits::of(options),
            out_soft: to_bytes(options.out_soft),
            out_hard: to_bytes(options.out_hard.min(options.out_total)),
            server: Arc::clone(server),
            handle: handle.clone(),
            member: member.clone(),
            lifecycle: Cell::new(Lifecycle::Serving),
            clients: Clients::default(),
            shedder: RefCell::new(Waker::noop().clone()),
            reports: Reports::default(),
            endless: RefCell::default(),
        })
    }

    /// Starts a task that runs until [`Service::cancel_endless`].
    pub(crate) fn spawn_endless(&self, task: impl Future<Output = ()> + 'static) {
        self.add_endless(self.handle.spawn(task).cancel_handle());
    }

    /// Adds a task that [`Service::cancel_endless`] cancels.
    pub(crate) fn add_endless(&self, task: CancelHandle) {
        self.endless.borrow_mut().push(task);
    }

    /// Cancels the tasks that have no end of their own: a report of unfinished tasks is not about
    /// them.
    pub(crate) fn cancel_endless(&self) {
        self.endless.take().iter().for_each(CancelHandle::cancel);
    }

    /// Notifies everything on this loop of the next state of the lifecycle. A list of connections
    /// would cost each of them memory for this one moment, so all tasks are woken and look for
    /// themselves what the state means for them.
    pub(crate) fn advance(&self, lifecycle: Lifecycle) {
        // First the state, then the wake-up: the tasks run after this phase, but callbacks run
        // right here.
        self.lifecycle.set(lifecycle);
        self.handle.wake_waiting();
        self.clients.drain();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle.get() >= Lifecycle::Draining
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.lifecycle.get() >= Lifecycle::CuttingOff
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
        if queued >= self.out_soft {
            return 0;
        }
        let budget = &self.server.budget;
        let bytes_max = if budget.is_scarce() {
            // While bytes are queued the kernel has no room, by definition: do not ask.
            let send_room = || if queued == 0 { send_room() } else { 0 };
            self.out_hard.min(budget.step_bytes(STEP_BYTES, send_room))
        } else {
            self.out_hard
        };
        bytes_max.saturating_sub(queued)
    }

    /// How many bytes may be read from one side of a relay before the other side takes them.
    pub(crate) fn ahead_bytes_max(&self, send_room: impl FnOnce() -> usize) -> usize {
        // More than a chunk would not make a relay faster: each read is one chunk, and large
        // streams are spliced, past user space.
        let ahead = self.out_soft.min(CHUNK_BYTES);
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
