//! What connections share: with those of the same loop, and with those of other threads.

use crate::budget::{Budget, RELAY_STEP_BYTES, STEP_BYTES};
use crate::callbacks::{self, Clients};
use crate::chat::{Room, Rules};
use crate::client::{Accepted, Broken, Client, Place};
use crate::connection::Connection;
use crate::green;
use crate::inspect::{Gathered, Reports};
use crate::mode::Mode;
use crate::news::News;
use crate::options::{Options, Style, WhenFull};
use crate::patience::Limits;
use crate::peer::Peers;
use crate::piped;
use crate::relayed::Relayed;
use crate::task::{self, Serve};
use crate::work::Work;
use bytesize::ByteSize;
use oneloop::net::{Addr, CHUNK_BYTES, Listener, ListenerStats, Socket};
use oneloop::process::ExitStatus;
use oneloop::{Direction, Handle};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tracing::{debug, error};

/// How far the server's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Stage {
    Serving,
    /// No new connections; the others finish.
    Draining,
    /// The time for that is over: what would outlive the server ends.
    CuttingOff,
    /// Every loop ends now.
    Stopped,
}

/// Wakers of whoever waits for a change of something that all threads see.
#[derive(Debug, Default)]
struct Watchers {
    waiting: Mutex<Vec<Waker>>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        // Nothing that holds the lock can leave the list half-changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, waker: &Waker) {
        let mut waiting = self.lock();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// What all threads of the server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    work: Work,
    room: Arc<Room>,
    pub(crate) budget: Arc<Budget>,
    stage: AtomicU8,
    connections: AtomicUsize,
    connections_max: usize,
    accepted: AtomicU64,
    refused: AtomicU64,
    /// Connections that were closed for want of an fd or of memory.
    shed: AtomicU64,
    pub(crate) news: News,
    acceptors: AtomicUsize,
    /// Woken when the stage changes, and when nothing is left to drain.
    stages: Watchers,
    /// Woken when a connection ends that may have kept another one out.
    places: Watchers,
    /// Times that somebody asked what the tasks are at.
    asked_for_tasks: AtomicU64,
    pub(crate) gathered: Gathered,
    pub(crate) started: Instant,
    /// Where the server listens, in words.
    pub(crate) listening_on: Vec<String>,
    /// Woken each time.
    tellers: Watchers,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        work: Work,
        connections_max: usize,
        listening_on: Vec<String>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            room: Room::new(Rules {
                waiting_max: to_bytes(options.out_hard),
                stored_max: to_bytes(options.out_total),
                raw: options.raw,
            }),
            budget: Budget::new(to_bytes(options.out_total), to_bytes(options.out_soft)),
            options,
            work,
            stage: AtomicU8::new(Stage::Serving as u8),
            connections: AtomicUsize::new(0),
            connections_max,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            news: News::default(),
            acceptors: AtomicUsize::new(0),
            stages: Watchers::default(),
            places: Watchers::default(),
            asked_for_tasks: AtomicU64::new(0),
            gathered: Gathered::default(),
            started: Instant::now(),
            listening_on,
            tellers: Watchers::default(),
        })
    }

    pub(crate) fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Goes on to the next stage, and tells all threads.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        self.stages.wake();
        self.places.wake();
    }

    /// Ready once the server's life is that far.
    pub(crate) fn poll_stage(&self, cx: &mut Context<'_>, stage: Stage) -> Poll<()> {
        self.stages.add(cx.waker()); // before the look, so that no change is missed
        if self.is_at(stage) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// True if clients have programs.
    pub(crate) fn has_programs(&self) -> bool {
        matches!(self.work, Work::Relay(Peers::Program(_)))
    }

    /// Has every loop tell of its tasks.
    pub(crate) fn ask_for_tasks(&self) {
        self.asked_for_tasks.fetch_add(1, Ordering::AcqRel);
        self.tellers.wake();
    }

    /// Ready once that was asked for more often than answered: with how often.
    pub(crate) fn poll_asked_for_tasks(&self, cx: &mut Context<'_>, answered: u64) -> Poll<u64> {
        self.tellers.add(cx.waker()); // before the look, so that no question is missed
        let asked = self.asked_for_tasks.load(Ordering::Acquire);
        if asked > answered {
            Poll::Ready(asked)
        } else {
            Poll::Pending
        }
    }

    /// Ready once nobody accepts and nothing is connected, on any thread.
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stages.add(cx.waker());
        // In this order: once nobody accepts, nothing is connected any more than is now.
        let accepts = self.acceptors.load(Ordering::Acquire) > 0;
        if !accepts && self.connections() == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Ready once the summary of that round has been told.
    pub(crate) fn poll_summary(&self, cx: &mut Context<'_>, round: u64) -> Poll<()> {
        self.tellers.add(cx.waker()); // before the look, so that it is not missed
        if self.gathered.is_told(round) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(crate) fn wake_tellers(&self) {
        self.tellers.wake();
    }

    /// How many connections were closed for want of an fd or of memory.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Acquire)
    }

    /// Tenths of seconds since the server started.
    pub(crate) fn age(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_millis() / 100).unwrap_or(u32::MAX)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// How many connections were served, and how many refused.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (
            self.accepted.load(Ordering::Acquire),
            self.refused.load(Ordering::Acquire),
        )
    }

    /// Takes a place for one more connection, if there is one. In a drain there always is: who has
    /// waited in the backlog is answered, and nobody new comes.
    fn try_take_place(&self) -> bool {
        let max = if self.is_at(Stage::Draining) {
            usize::MAX
        } else {
            self.connections_max
        };
        let take = |taken| (taken < max).then_some(taken + 1);
        self.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    fn poll_place(&self, cx: &mut Context<'_>, handle: &Handle) -> Poll<()> {
        if self.try_take_place() {
            return Poll::Ready(());
        }
        self.places.add(cx.waker());
        // Once more: the last connection may have ended before the waker was in.
        if self.try_take_place() {
            return Poll::Ready(());
        }
        self.news.full.tell(handle, self.connections());
        Poll::Pending
    }

    fn give_place_back(&self) {
        if self.connections.fetch_sub(1, Ordering::AcqRel) >= self.connections_max {
            self.places.wake();
        }
        self.wake_if_drained();
    }

    /// Ready once nothing accepts any more, though nobody asked for that.
    pub(crate) fn poll_deaf(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stages.add(cx.waker()); // before the look, so that no change is missed
        if self.acceptors.load(Ordering::Acquire) == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn wake_if_drained(&self) {
        if self.is_at(Stage::Draining) {
            self.stages.wake();
        }
    }
}

/// What the connections of one loop share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handle: Handle,
    pub(crate) limits: Limits,
    pub(crate) out_soft: usize,
    /// No more than `--out-total` either.
    out_hard: usize,
    /// As far as this loop has heard.
    stage: Cell<Stage>,
    /// Those of the callback style; the others are tasks, and look for themselves.
    pub(crate) clients: Clients,
    /// Wakes the task that closes those of them that have to go.
    pub(crate) shedder: RefCell<Waker>,
    /// What clients say of themselves when SIGUSR1 asks.
    pub(crate) reports: Reports,
}

impl Service {
    /// Serves these listeners on this loop.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        handle: &Handle,
        listeners: Vec<Listener>,
    ) -> Rc<Self> {
        let options = &shared.options;
        let service = Rc::new(Service {
            limits: Limits::of(options),
            out_soft: to_bytes(options.out_soft),
            out_hard: to_bytes(options.out_hard.min(options.out_total)),
            shared: Arc::clone(shared),
            handle: handle.clone(),
            stage: Cell::new(Stage::Serving),
            clients: Clients::default(),
            shedder: RefCell::new(Waker::noop().clone()),
            reports: Reports::default(),
        });
        if options.style == Style::Callback {
            handle.spawn_detached(callbacks::shed(Rc::clone(&service)));
        }
        for listener in listeners {
            let accepting = Accepting::begin(shared, &listener);
            handle.spawn_detached(Rc::clone(&service).accept(listener, accepting));
        }
        service
    }

    /// Has everything on this loop hear of the next stage: each task looks for itself what that means.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        self.handle.wake_waiting();
        self.clients.drain();
    }

    /// How many bytes may be read from a client for which so many wait: never so many that their answer
    /// could not wait, too, and none while that is as much as may be. The room that the kernel has for the answer is
    /// asked for only where it matters.
    #[inline]
    pub(crate) fn input_bytes_max(
        &self,
        waiting: usize,
        send_room: impl FnOnce() -> usize,
    ) -> usize {
        if waiting >= self.out_soft {
            return 0;
        }
        let budget = &self.shared.budget;
        let bytes_max = if budget.is_scarce() {
            let send_room = || if waiting == 0 { send_room() } else { 0 };
            self.out_hard.min(budget.step_bytes(STEP_BYTES, send_room))
        } else {
            self.out_hard
        };
        bytes_max.saturating_sub(waiting)
    }

    /// How much of what one side of a relay sends may be read before the other takes it.
    pub(crate) fn ahead_bytes_max(&self, send_room: impl FnOnce() -> usize) -> usize {
        let ahead = self.out_soft.min(CHUNK_BYTES);
        let budget = &self.shared.budget;
        if budget.is_scarce() {
            ahead.min(budget.step_bytes(RELAY_STEP_BYTES, send_room))
        } else {
            ahead
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.stage.get() >= Stage::Draining
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.stage.get() >= Stage::CuttingOff
    }

    /// Accepts until the server drains; then what has waited in the backlog, and no more.
    async fn accept(self: Rc<Self>, listener: Listener, accepting: Accepting) {
        let speaker = self.shared.room.speaker();
        let mut seen = ListenerStats::default();
        loop {
            let next = poll_fn(|cx| {
                let next = self.poll_next(cx, &listener);
                self.tell_of_trouble(&listener, &mut seen);
                next
            });
            match next.await {
                Ok(Some((socket, peer))) => {
                    if self.open(socket, peer).is_err() {
                        listener.shed_accepted(); // there is no memory for it
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    error!(%error, "cannot accept any more");
                    break;
                }
            }
        }
        drop((listener, speaker));
        drop(accepting); // last: whoever hears of it finds the socket closed
    }

    /// The next connection, with a place taken for it; `None` when there is to be no more.
    fn poll_next(
        &self,
        cx: &mut Context<'_>,
        listener: &Listener,
    ) -> Poll<io::Result<Option<(Socket, Addr)>>> {
        loop {
            if self.is_draining() {
                // What the loop was told of the backlog may be out of date: ask the kernel.
                listener.source().assume_ready(Direction::Read);
            }
            // A place only once somebody is there to take it: another listener may need it, too.
            ready!(listener.source().poll_ready(cx, Direction::Read))?;
            // To wait: the place comes first, so that clients stay in the backlog. To refuse: the client
            // does, as a place that is held for nobody yet has another thread refuse its own client.
            let waits = self.shared.options.when_full == WhenFull::Wait;
            if waits {
                ready!(self.shared.poll_place(cx, &self.handle));
            }
            let accepted = listener.poll_accept(cx);
            if waits && !matches!(accepted, Poll::Ready(Ok(_))) {
                self.shared.give_place_back();
            }
            match accepted {
                Poll::Ready(Ok(accepted)) if waits || self.shared.try_take_place() => {
                    return Poll::Ready(Ok(Some(accepted)));
                }
                Poll::Ready(Ok((_, peer))) => self.refuse(peer),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let may_come =
                        listener.source().is_ready(Direction::Read) && !listener.is_failing();
                    return if self.is_draining() && !may_come {
                        Poll::Ready(Ok(None))
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
    }

    fn refuse(&self, peer: Addr) {
        let refused = self.shared.refused.fetch_add(1, Ordering::AcqRel) + 1;
        self.shared.news.refused.tell(&self.handle, (refused, peer));
    }

    fn refuse_without_stack(&self, peer: Addr, error: io::Error) {
        let refused = self.shared.refused.fetch_add(1, Ordering::AcqRel) + 1;
        let event = (refused, peer, error);
        self.shared.news.without_stack.tell(&self.handle, event);
    }

    /// Tells of what went wrong at accepting since this was `seen`.
    fn tell_of_trouble(&self, listener: &Listener, seen: &mut ListenerStats) {
        let stats = listener.stats();
        let before = std::mem::replace(seen, stats);
        let shed = stats.shed - before.shed;
        let shed = self.shared.shed.fetch_add(shed, Ordering::AcqRel) + shed;
        let news = &self.shared.news;
        let failed = stats.failed > before.failed;
        if let Some(why) = listener.last_failure().filter(|_| failed) {
            news.accept_failed.tell(&self.handle, (stats.failed, why));
        } else if stats.pauses > before.pauses || stats.shed > before.shed {
            news.shortage.tell(&self.handle, shed);
        }
    }

    /// # Errors
    /// There is no stack for a green thread, which is told; the connection is closed.
    fn open(self: &Rc<Self>, socket: Socket, peer: Addr) -> Result<(), ()> {
        let number = self.shared.accepted.fetch_add(1, Ordering::AcqRel) + 1;
        debug!(number, %peer, "connected");
        let accepted = Accepted {
            place: Place::taken(self),
            socket,
            number,
        };
        let started = match &self.shared.work {
            Work::Talk(mode) => self.talk(accepted, mode(&self.shared.room)),
            Work::Relay(peers) => self.relay(accepted, peers),
        };
        started.map_err(|error| self.refuse_without_stack(peer, error))
    }

    /// Serves a client to whom the server itself has something to say.
    ///
    /// # Errors
    /// There is no stack for a green thread.
    fn talk(&self, accepted: Accepted, mode: Mode) -> io::Result<()> {
        let connection = |accepted, mode| Connection::new(Client::new(accepted), mode);
        match self.shared.options.style {
            Style::Async => {
                let serve = Serve::new(connection(accepted, mode));
                self.handle.spawn_detached(serve);
            }
            Style::Callback => callbacks::serve(accepted, mode),
            Style::Green => green::spawn(connection(accepted, mode))?,
        }
        Ok(())
    }

    /// Serves a client that is wired to a peer.
    ///
    /// # Errors
    /// As [`Service::talk`].
    fn relay(&self, accepted: Accepted, peers: &Peers) -> io::Result<()> {
        let relayed = |accepted| Relayed::new(Client::new(accepted), peers);
        match (self.shared.options.style, peers) {
            (Style::Callback, Peers::Upstream(upstream)) => {
                piped::serve(accepted, Arc::clone(upstream));
            }
            // Pipes are no sockets, which is what that style could pipe, and a program is to find the
            // same whichever style it is.
            (Style::Async, _) | (Style::Callback, Peers::Program(_)) => {
                self.handle.spawn_detached(task::relay(relayed(accepted)));
            }
            (Style::Green, _) => green::spawn_relay(relayed(accepted))?,
        }
        Ok(())
    }

    /// A client is closed because it has no peer.
    pub(crate) fn tell_of_no_peer(&self, error: io::Error) {
        self.shared.news.without_peer.tell(&self.handle, error);
    }

    /// How a client's program has ended; told if it did so badly by itself.
    pub(crate) fn tell_of_program(
        &self,
        number: u64,
        connection: &Result<(), Broken>,
        ended: &io::Result<ExitStatus>,
    ) {
        match ended {
            Ok(status) if connection.is_ok() && !status.success() => {
                let failed = &self.shared.news.program_failed;
                failed.tell(&self.handle, (number, *status));
            }
            Ok(status) => debug!(number, "its program has ended: {status}"),
            Err(error) => debug!(number, %error, "its program has ended"),
        }
    }

    /// A connection has ended.
    pub(crate) fn close(&self) {
        self.shared.give_place_back();
    }
}

fn to_bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

/// Counts an acceptor while it is there, and says so when it ends before the server drains: by an error,
/// by a panic, or with its thread.
#[derive(Debug)]
struct Accepting {
    shared: Arc<Shared>,
    at: String,
}

impl Accepting {
    fn begin(shared: &Arc<Shared>, listener: &Listener) -> Self {
        shared.acceptors.fetch_add(1, Ordering::AcqRel);
        Accepting {
            shared: Arc::clone(shared),
            at: listener
                .local_addr()
                .map_or_else(|_| String::from("?"), |addr| addr.to_string()),
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let left = self.shared.acceptors.fetch_sub(1, Ordering::AcqRel) - 1;
        if !self.shared.is_at(Stage::Draining) {
            error!(at = self.at, left, "lost a listener");
        }
        self.shared.stages.wake();
    }
}
