//! What all threads share of the process; `shared_service` is what they share of one service.

use crate::budget::Budget;
use crate::notices::Notices;
use crate::options::ProcessOptions;
use crate::refusals::Refusals;
use crate::reports::Summary;
use crate::shared_service::SharedService;
use crate::systemd::all_loops::AllLoops;
use crate::values::to_bytes;
use crate::waiters::Waiters;
use oneloop::Handle;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How far the server's life is. Each state follows the one before it; none is entered twice.
///
/// ```text
///   Starting ──▶ Serving ── SIGUSR2, and the successor is ready ──▶ Leaving
///                   │ signal, or the last                              │ --drain over, or signal
///                   │ listener lost                                    │
///                   └──────────────────────▶ Draining ◀────────────────┘
///                                               ├── --drain over, programs left ──▶ CuttingOff
///                                               │                                       │
///                                               └── no connection left, ──▶ Stopped ◀───┘
///                                                   or --drain over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Lifecycle {
    /// Listens, and accepts nothing so far: a predecessor may still do, or the process may have the
    /// rights that `--user` gives up.
    Starting,
    Serving,
    /// A successor accepts; open connections continue.
    Leaving,
    /// Accepts what is in the backlog and nothing new; open connections finish.
    Draining,
    /// The time for the drain is over: clients and upstreams see a reset, and programs, which would
    /// outlive the server, are ended.
    CuttingOff,
    /// Every loop ends now.
    Stopped,
}

/// What all threads share of the process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) options: ProcessOptions,
    /// At least one.
    pub(crate) services: Vec<Arc<SharedService>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) notices: Notices,
    pub(crate) summary: Summary,
    pub(crate) started: Instant,
    #[cfg_attr(
        not(feature = "systemd"),
        allow(dead_code, reason = "without it, no loop is asked")
    )]
    pub(crate) all_loops: AllLoops,
    lifecycle: AtomicU8,
    has_successor: AtomicBool,
    /// Connections that are open on all threads.
    connections: AtomicUsize,
    /// How many may be open.
    connections_max: AtomicUsize,
    /// `--drain`
    drain: Mutex<Duration>,
    accepted: AtomicU64,
    pub(crate) refusals: Refusals,
    /// Connections closed because there was no fd or no memory for them.
    shed: AtomicU64,
    /// Listeners that still accept, on all threads.
    acceptors: AtomicUsize,
    /// How many reports SIGUSR1 has requested.
    reports_requested: AtomicU64,
    /// Woken when the lifecycle advances, a listener is lost, or the last connection ends in a
    /// drain.
    lifecycle_waiters: Waiters,
    /// Woken when a connection ends that may have kept another one in the backlog.
    permit_waiters: Waiters,
    /// Woken when SIGUSR1 requests a report, and when the summary of a round is logged.
    report_waiters: Waiters,
}

impl Server {
    pub(crate) fn new(
        options: ProcessOptions,
        connections_max: usize,
        services: Vec<Arc<SharedService>>,
    ) -> Arc<Self> {
        let out_soft = out_soft_of(&services);
        Arc::new(Server {
            budget: Budget::new(to_bytes(options.out_total), out_soft),
            notices: Notices::default(),
            summary: Summary::default(),
            // The real clock even for a loop with a virtual one: this is what an operator reads.
            started: Instant::now(),
            services,
            all_loops: AllLoops::default(),
            lifecycle: AtomicU8::new(Lifecycle::Starting as u8),
            has_successor: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            connections_max: AtomicUsize::new(connections_max),
            drain: Mutex::new(options.drain.into()),
            options,
            accepted: AtomicU64::new(0),
            refusals: Refusals::default(),
            shed: AtomicU64::new(0),
            acceptors: AtomicUsize::new(0),
            reports_requested: AtomicU64::new(0),
            lifecycle_waiters: Waiters::default(),
            permit_waiters: Waiters::default(),
            report_waiters: Waiters::default(),
        })
    }

    /// The addresses of all listeners, as text.
    pub(crate) fn listening_on(&self) -> String {
        let services = self.services.iter();
        let addrs: Vec<_> = services
            .flat_map(|service| &service.listening_on)
            .map(String::as_str)
            .collect();
        addrs.join(", ")
    }

    /// Tenths of a second since the server started. 32 bits of them are 13 years, and half the
    /// memory of an `Instant` in each connection.
    pub(crate) fn age(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_millis() / 100).unwrap_or(u32::MAX)
    }

    pub(crate) fn has_reached(&self, lifecycle: Lifecycle) -> bool {
        self.lifecycle.load(Ordering::Acquire) >= lifecycle as u8
    }

    /// True once another process accepts on the sockets of this one.
    pub(crate) fn has_successor(&self) -> bool {
        self.has_successor.load(Ordering::Acquire)
    }

    /// A successor accepts from now on: see [`Lifecycle::Leaving`].
    pub(crate) fn set_successor(&self) {
        self.has_successor.store(true, Ordering::Release);
    }

    /// Advances the lifecycle, and wakes all threads.
    pub(crate) fn advance(&self, lifecycle: Lifecycle) {
        // The store comes before the wake-ups, so a woken task finds the new state. Only the
        // first thread advances the lifecycle, so no compare-and-swap is needed.
        self.lifecycle.store(lifecycle as u8, Ordering::Release);
        self.lifecycle_waiters.wake();
        self.permit_waiters.wake(); // in a drain there is a permit for every connection
    }

    /// Ready once the lifecycle has come that far.
    pub(crate) fn poll_lifecycle(&self, cx: &mut Context<'_>, lifecycle: Lifecycle) -> Poll<()> {
        // Registered before the look, here and below: see `Waiters`.
        self.lifecycle_waiters.add(cx.waker());
        ready_if(self.has_reached(lifecycle))
    }

    /// Ready once no listener accepts and no connection is open, on any thread.
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lifecycle_waiters.add(cx.waker());
        // In this order: the count of connections cannot grow once no listener accepts.
        // An acceptor takes a permit before it ends, so its last client is counted by then.
        let accepts = self.acceptors.load(Ordering::Acquire) > 0;
        ready_if(!accepts && self.connections() == 0)
    }

    /// Ready once the last listener is lost although the server was not asked to stop.
    pub(crate) fn poll_deaf(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lifecycle_waiters.add(cx.waker());
        ready_if(self.acceptors.load(Ordering::Acquire) == 0)
    }

    /// Requests a report from every loop.
    pub(crate) fn request_reports(&self) {
        self.reports_requested.fetch_add(1, Ordering::AcqRel);
        self.report_waiters.wake();
    }

    /// Ready once more reports were requested than `answered`: with how many.
    pub(crate) fn poll_report_request(&self, cx: &mut Context<'_>, answered: u64) -> Poll<u64> {
        self.report_waiters.add(cx.waker());
        let requested = self.reports_requested.load(Ordering::Acquire);
        ready_if(requested > answered).map(|()| requested)
    }

    /// Ready once the summary of that round is logged.
    pub(crate) fn poll_summary(&self, cx: &mut Context<'_>, round: u64) -> Poll<()> {
        self.report_waiters.add(cx.waker());
        ready_if(self.summary.is_logged(round))
    }

    /// Wakes the loops that wait for the summary of their round.
    pub(crate) fn wake_reporters(&self) {
        self.report_waiters.wake();
    }

    pub(crate) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Changes how many connections may be open. Those beyond it stay.
    pub(crate) fn set_connections_max(&self, connections_max: usize) {
        self.connections_max
            .store(connections_max, Ordering::Relaxed);
    }

    /// Wakes the acceptors that wait for a permit: there may be more permits now, or the clients
    /// that wait are to be refused.
    pub(crate) fn wake_permit_waiters(&self) {
        self.permit_waiters.wake();
    }

    /// How long open connections may take to finish after a signal to stop.
    pub(crate) fn drain(&self) -> Duration {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the time for a drain. One that has begun keeps its own.
    pub(crate) fn set_drain(&self, drain: Duration) {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain;
    }

    /// Changes how many bytes may wait for all clients, after the settings of the services.
    pub(crate) fn limit_output(&self, out_total: usize) {
        let out_soft = out_soft_of(&self.services);
        self.budget.set_limits(out_total, out_soft);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// How many connections were accepted, and how many were refused.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Acquire), self.refusals.total())
    }

    /// Counts an accepted connection; returns its number.
    pub(crate) fn count_accepted(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Counts `more` connections closed for want of an fd or of memory; returns how many there
    /// were.
    pub(crate) fn count_shed(&self, more: u64) -> u64 {
        self.shed.fetch_add(more, Ordering::AcqRel) + more
    }

    /// Counts a listener that accepts.
    pub(crate) fn add_acceptor(&self) {
        self.acceptors.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a listener less; returns how many are left.
    pub(crate) fn remove_acceptor(&self) -> usize {
        self.acceptors.fetch_sub(1, Ordering::AcqRel) - 1
    }

    /// Wakes what waits for the lifecycle, for a drain, or for the loss of the last listener.
    pub(crate) fn wake_lifecycle_waiters(&self) {
        self.lifecycle_waiters.wake();
    }

    /// Takes the permit for one more connection, if there is one. A drain has no limit: clients
    /// that were in the backlog when it began are all answered, and no new ones come.
    pub(crate) fn try_take_permit(&self) -> bool {
        let max = if self.has_reached(Lifecycle::Draining) {
            usize::MAX
        } else {
            self.connections_max()
        };
        // A loop instead of fetch_add: threads that took a permit too many for a moment would
        // refuse clients for which there is one.
        let take = |taken| (taken < max).then_some(taken + 1);
        self.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    /// Takes the permit for one more connection, or waits until one is free.
    pub(crate) fn poll_permit(&self, cx: &mut Context<'_>, handle: &Handle) -> Poll<()> {
        if self.try_take_permit() {
            return Poll::Ready(());
        }
        self.permit_waiters.add(cx.waker());
        // Again: the last connection may have ended before the waker was registered.
        if self.try_take_permit() {
            return Poll::Ready(());
        }
        self.notices.full.log(handle, self.connections());
        Poll::Pending
    }

    /// Returns the permit of a connection that ended.
    pub(crate) fn release_permit(&self) {
        // With fewer connections no acceptor waits, so most ends wake nothing.
        if self.connections.fetch_sub(1, Ordering::AcqRel) >= self.connections_max() {
            self.permit_waiters.wake();
        }
        if self.has_reached(Lifecycle::Draining) {
            self.lifecycle_waiters.wake();
        }
    }
}

/// The largest `--out-soft`.
fn out_soft_of(services: &[Arc<SharedService>]) -> usize {
    let each = services.iter().map(|service| service.settings().out_soft);
    each.max().unwrap_or_default()
}

fn ready_if(is_ready: bool) -> Poll<()> {
    if is_ready {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}
