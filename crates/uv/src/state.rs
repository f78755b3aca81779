//! What a loop owns.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::abi::mask::without_sigprof;
use crate::abi::time;
use crate::children::Children;
use crate::files::Files;
use crate::layout::{Async, Handle, Loop, PhaseHandle, Stream, Timer, Udp};
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::ring::Rings;
use crate::signals::Signals;
use crate::stat_watch::StatWatches;
use crate::stream_turn::{self, Turn};
use crate::udp_turn::UdpTurn;
use crate::watch::Watches;
use oneloop_core::{Inbox, Interest, Reactor, Timers, Trigger};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// What an fd in the loop's epoll instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An fd of the caller.
    Fd(i32),
    /// The bell of the inbox: an async was sent, or a job is done.
    Bell,
    /// The eventfd of this signal.
    Signal(c_int),
    /// The inotify instance.
    Files,
}

/// A member of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member {
    /// A handle, and the number of handles that were initialized before it.
    Handle(Live<Handle>, u64),
    Phase(Live<PhaseHandle>),
    Async(Live<Async>),
    Stream(Live<Stream>),
    Udp(Live<Udp>),
}

/// The rings of a loop. The running one of a phase follows its main one.
pub(crate) mod rings {
    pub(crate) const HANDLES: usize = 0;
    pub(crate) const CLOSING: usize = 1;
    pub(crate) const IDLE: usize = 3;
    pub(crate) const PREPARE: usize = 5;
    pub(crate) const CHECK: usize = 7;
    pub(crate) const ASYNC: usize = 9;
    /// Streams whose requests are done.
    pub(crate) const PENDING: usize = 11;
    pub(crate) const COUNT: usize = 13;

    /// The running ring of a main one.
    pub(crate) const fn running(main: usize) -> usize {
        main + 1
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Timer(Live<Timer>),
    /// The next look at a file that is polled.
    Stat(u64),
}

/// The state of a loop, behind its `uv_loop_t`. Other threads only ring the bell. Some ask for the
/// backend, the time, or whether the loop is alive, although they should not: cells answer that.
pub(crate) struct LoopState {
    pub(crate) reactor: RefCell<Reactor<Token>>,
    pub(crate) watches: RefCell<Watches>,
    /// The polls that began and are not closed.
    pub(crate) polls: RefCell<HashSet<Live<Handle>>>,
    pub(crate) timers: RefCell<Timers<Due>>,
    pub(crate) rings: RefCell<Rings<Member, { rings::COUNT }>>,
    pub(crate) signals: RefCell<Signals>,
    pub(crate) files: RefCell<Files>,
    pub(crate) stats: RefCell<StatWatches>,
    pub(crate) children: RefCell<Children>,
    /// The stream whose turn it is.
    pub(crate) turn: Cell<Option<Turn>>,
    /// The UDP handle whose turn it is.
    pub(crate) udp_turn: Cell<Option<UdpTurn>>,
    /// The sender of the packet that is being delivered.
    pub(crate) sender: RefCell<Box<MaybeUninit<libc::sockaddr_storage>>>,
    pub(crate) metrics: Metrics,
    /// The fds that came over a stream behind its `accepted_fd`.
    received: RefCell<HashMap<Live<Stream>, VecDeque<OwnedFd>>>,
    /// An fd for when the process has none left for a connection.
    reserve: RefCell<Option<OwnedFd>>,
    /// What threads of the pool have done.
    pub(crate) inbox: RefCell<Arc<Inbox<Mail>>>,
    /// Mail that was taken out, and waits for its callbacks.
    pub(crate) mail: RefCell<Mail>,
    /// The epoll instance, also for other threads, and while the loop waits.
    backend: AtomicI32,
    /// The bell of the inbox, for `uv_async_send`, which may not take a lock.
    bell: AtomicI32,
    /// The number of handles that wait for their close callback.
    pub(crate) closing: Cell<usize>,
    /// The loop's time.
    pub(crate) now_ms: Cell<u64>,
    /// True while a run goes through a batch of events. A callback that jumps out of the run leaves
    /// it so.
    pub(crate) has_batch: Cell<bool>,
    /// The number of handles that were initialized.
    pub(crate) initialized: Cell<u64>,
    /// SIGPROF does not interrupt a poll.
    pub(crate) blocks_sigprof: Cell<bool>,
}

impl LoopState {
    pub(crate) fn new() -> io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let inbox = Inbox::new()?;
        let bell = inbox.as_fd();
        reactor.add(bell, Interest::READ, Trigger::Edge, Token::Bell)?;
        let bell = AtomicI32::new(bell.as_raw_fd());
        let backend = AtomicI32::new(reactor.as_fd().as_raw_fd());
        Ok(LoopState {
            reactor: RefCell::new(reactor),
            watches: RefCell::default(),
            polls: RefCell::default(),
            timers: RefCell::default(),
            rings: RefCell::new(Rings::new()),
            signals: RefCell::default(),
            files: RefCell::default(),
            stats: RefCell::default(),
            children: RefCell::default(),
            turn: Cell::new(None),
            udp_turn: Cell::new(None),
            sender: RefCell::new(Box::new_uninit()),
            metrics: Metrics::default(),
            received: RefCell::default(),
            reserve: RefCell::default(),
            inbox: RefCell::new(inbox),
            mail: RefCell::default(),
            backend,
            bell,
            closing: Cell::new(0),
            now_ms: Cell::new(time::now_ms()),
            has_batch: Cell::new(false),
            initialized: Cell::new(0),
            blocks_sigprof: Cell::new(false),
        })
    }

    /// Gives a forked child its own kernel objects. What the parent's pool does stays with the
    /// parent.
    pub(crate) fn recreate(&self) -> io::Result<()> {
        let inbox = Inbox::new()?;
        let mut reactor = self.reactor.borrow_mut();
        reactor.recreate()?;
        self.backend
            .store(reactor.as_fd().as_raw_fd(), Ordering::SeqCst);
        self.watches.borrow_mut().forget_registrations();
        reactor.add(&*inbox, Interest::READ, Trigger::Edge, Token::Bell)?;
        self.bell.store(inbox.as_fd().as_raw_fd(), Ordering::SeqCst);
        self.inbox.replace(inbox);
        self.signals.borrow_mut().recreate(&mut reactor)?;
        self.files.borrow_mut().recreate(&mut reactor)
    }

    pub(crate) fn backend(&self) -> RawFd {
        self.backend.load(Ordering::SeqCst)
    }

    /// Waits for events. Returns their number.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<usize> {
        let mut reactor = self.reactor.borrow_mut();
        let could_sleep = timeout != Some(Duration::ZERO);
        let is_measured = could_sleep && self.metrics.is_idle_measured();
        if is_measured {
            self.metrics.begin_wait(time::now_ns());
        }
        let events = if self.blocks_sigprof.get() {
            without_sigprof(|| reactor.wait(timeout))
        } else {
            reactor.wait(timeout)
        };
        if is_measured {
            self.metrics.end_wait(time::now_ns());
        }
        self.metrics
            .count(*events.as_ref().unwrap_or(&0), could_sleep);
        events
    }

    /// Wakes the loop, from any thread or signal handler.
    pub(crate) fn ring(&self) {
        let bell = crate::abi::fd::borrow(self.bell.load(Ordering::SeqCst));
        // A full eventfd is readable, which is all that the loop needs. The system call leaves
        // errno as it is.
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
    }

    /// Keeps fds that came over a stream until the caller accepts them.
    pub(crate) fn keep_received(&self, stream: Live<Stream>, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        if stream.accepted_fd.get() == -1
            && let Some(first) = fds.next()
        {
            stream.accepted_fd.set(first.into_raw_fd());
        }
        if fds.len() > 0 {
            let mut received = self.received.borrow_mut();
            received.entry(stream).or_default().extend(fds);
        }
    }

    /// The next of the fds that came over a stream; -1 if there is none.
    pub(crate) fn take_received(&self, stream: Live<Stream>) -> RawFd {
        let mut received = self.received.borrow_mut();
        let next = received.get_mut(&stream).and_then(VecDeque::pop_front);
        let Some(next) = next else {
            received.remove(&stream);
            return -1;
        };
        next.into_raw_fd()
    }

    /// The number of fds that came over a stream, without its `accepted_fd`.
    pub(crate) fn count_received(&self, stream: Live<Stream>) -> usize {
        self.received.borrow().get(&stream).map_or(0, VecDeque::len)
    }

    /// Forgets a stream that is closed.
    pub(crate) fn forget_stream(&self, stream: Live<Stream>) {
        if self.turn.get().is_some_and(|turn| turn.stream == stream) {
            self.turn.set(None);
        }
        self.forget_pending(&stream.pending_place);
        self.received.borrow_mut().remove(&stream);
    }

    /// Forgets a UDP handle that is closed.
    pub(crate) fn forget_udp(&self, udp: Live<Udp>) {
        if self.udp_turn.get().is_some_and(|turn| turn.udp == udp) {
            self.udp_turn.set(None);
        }
        self.forget_pending(&udp.pending_place);
    }

    /// Takes a handle out of those whose requests are done.
    fn forget_pending(&self, place: &Cell<u64>) {
        let place = place.replace(0);
        if place != 0 {
            self.rings.borrow_mut().remove(place);
        }
    }

    /// Keeps an fd in reserve, for [`LoopState::shed_connection`].
    pub(crate) fn reserve_fd(&self) {
        let mut reserve = self.reserve.borrow_mut();
        if reserve.is_none() {
            *reserve = stream_turn::reserved();
        }
    }

    /// Ends connections for which the process has no fd left.
    pub(crate) fn shed_connection(&self, listener: RawFd) {
        stream_turn::shed(listener, &mut self.reserve.borrow_mut());
    }

    pub(crate) fn update_time(&self) {
        self.now_ms.set(time::now_ms());
    }
}

impl Loop {
    /// The state of an initialized loop.
    pub(crate) fn state(&self) -> Live<LoopState> {
        self.state.get().expect("the loop is initialized")
    }

    /// Counts a request that begins.
    pub(crate) fn begin_request(&self) {
        self.active_requests.set(self.active_requests.get() + 1);
    }

    /// Counts a request that is done.
    pub(crate) fn end_request(&self) {
        let active = self.active_requests.get();
        self.active_requests.set(active.saturating_sub(1));
    }
}

impl Handle {
    /// The loop of an initialized handle.
    pub(crate) fn owner(&self) -> Live<Loop> {
        self.owner.get().expect("the handle is initialized")
    }

    /// The state of its loop.
    pub(crate) fn state(&self) -> Live<LoopState> {
        self.owner().state()
    }
}
