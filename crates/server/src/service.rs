//! What connections share: with those of the same loop, and with those of other threads.

use crate::chat::Room;
use crate::connection::Connection;
use crate::options::{Options, WhenFull};
use crate::patience::Limits;
use oneloop::net::{Addr, Listener, Socket};
use oneloop::{Direction, Handle};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tracing::{debug, error, warn};

/// How far the server's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Stage {
    Serving,
    /// No new connections; the others finish.
    Draining,
    /// Every loop ends now.
    Stopped,
}

/// Wakers of whoever waits for a change of something that all threads see.
#[derive(Debug, Default)]
struct Watchers {
    waiting: Mutex<Vec<Waker>>,
}

impl Watchers {
    fn add(&self, waker: &Waker) {
        let mut waiting = self
            .waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn wake(&self) {
        let waiting = self
            .waiting
            .lock()
            .map(|mut waiting| std::mem::take(&mut *waiting));
        waiting
            .unwrap_or_default()
            .into_iter()
            .for_each(Waker::wake);
    }
}

/// What all threads of the server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    room: Arc<Room>,
    stage: AtomicU8,
    connections: AtomicUsize,
    acceptors: AtomicUsize,
    /// Woken when the stage changes, and when nothing is left to drain.
    stages: Watchers,
    /// Woken when a connection ends that may have kept another one out.
    places: Watchers,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let out_hard = usize::try_from(options.out_hard.as_u64()).unwrap_or(usize::MAX);
        Arc::new(Shared {
            options,
            room: Room::new(out_hard),
            stage: AtomicU8::new(Stage::Serving as u8),
            connections: AtomicUsize::new(0),
            acceptors: AtomicUsize::new(0),
            stages: Watchers::default(),
            places: Watchers::default(),
        })
    }

    pub(crate) fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Goes on to the next stage, and tells all threads.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        self.stages.wake();
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

    /// Ready once nobody accepts and nothing is connected, on any thread.
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stages.add(cx.waker());
        if self.connections() + self.acceptors.load(Ordering::Acquire) == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    fn connections_max(&self) -> usize {
        self.options
            .max_conns
            .map_or(usize::MAX, |max| max as usize)
    }

    /// Takes a place for one more connection, if there is one.
    fn try_take_place(&self) -> bool {
        let max = self.connections_max();
        let take = |taken| (taken < max).then_some(taken + 1);
        self.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    fn poll_place(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.try_take_place() {
            return Poll::Ready(());
        }
        self.places.add(cx.waker());
        // Once more: the last connection may have ended before the waker was in.
        if self.try_take_place() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn give_place_back(&self) {
        if self.connections.fetch_sub(1, Ordering::AcqRel) >= self.connections_max() {
            self.places.wake();
        }
        self.wake_if_drained();
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
    pub(crate) out_hard: usize,
    draining: Cell<bool>,
    accepted: Cell<u64>,
}

impl Service {
    /// Serves these listeners on this loop.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        handle: &Handle,
        listeners: Vec<Listener>,
    ) -> Rc<Self> {
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let options = &shared.options;
        let service = Rc::new(Service {
            limits: Limits::of(options),
            out_soft: bytes(options.out_soft),
            out_hard: bytes(options.out_hard),
            shared: Arc::clone(shared),
            handle: handle.clone(),
            draining: Cell::new(false),
            accepted: Cell::new(0),
        });
        for listener in listeners {
            shared.acceptors.fetch_add(1, Ordering::AcqRel);
            handle.spawn(Rc::clone(&service).accept(listener));
        }
        service
    }

    /// Has everything on this loop finish: each task looks for itself what that means.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.handle.wake_waiting();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Accepts until the server drains; then what has waited in the backlog, and no more.
    async fn accept(self: Rc<Self>, listener: Listener) {
        let speaker = self.shared.room.speaker();
        let mut pauses = 0;
        while let Some((socket, peer)) =
            poll_fn(|cx| self.poll_next(cx, &listener, &mut pauses)).await
        {
            if !self.shared.try_take_place() {
                if self.shared.options.when_full == WhenFull::Refuse {
                    debug!(%peer, "refused: --max-conns are connected");
                    continue;
                }
                poll_fn(|cx| self.shared.poll_place(cx)).await;
            }
            self.open(socket, &peer);
        }
        drop((listener, speaker));
        self.shared.acceptors.fetch_sub(1, Ordering::AcqRel);
        self.shared.wake_if_drained();
    }

    /// The next connection; `None` when there is to be no more.
    fn poll_next(
        &self,
        cx: &mut Context<'_>,
        listener: &Listener,
        pauses: &mut u64,
    ) -> Poll<Option<(Socket, Addr)>> {
        if self.is_draining() {
            // What the loop was told of the backlog may be out of date: ask the kernel.
            listener.source().assume_ready(Direction::Read);
        }
        let accepted = listener.poll_accept(cx);
        warn_of_pauses(listener, pauses);
        match accepted {
            Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
            Poll::Ready(Err(error)) => {
                error!(%error, "cannot accept any more");
                Poll::Ready(None)
            }
            Poll::Pending if self.is_draining() && !listener.source().is_ready(Direction::Read) => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn open(self: &Rc<Self>, socket: Socket, peer: &Addr) {
        let number = self.accepted.get() + 1;
        self.accepted.set(number);
        debug!(number, %peer, "connected");
        let connection = Connection::new(Rc::clone(self), socket, number, &self.shared.room);
        self.handle.spawn(connection);
    }

    /// A connection has ended.
    pub(crate) fn close(&self) {
        self.shared.give_place_back();
    }
}

fn warn_of_pauses(listener: &Listener, seen: &mut u64) {
    let stats = listener.stats();
    if stats.pauses > *seen {
        *seen = stats.pauses;
        warn!(
            shed = stats.shed,
            "out of open files or memory: accepting pauses"
        );
    }
}
