//! The handle of a message socket: a task that receives in rounds, and a send queue.

use crate::continuation::Then;
use crate::drive::{Drive, Driven, Pace};
use crate::runtime::Runtime;
use crate::thrown::Thrown;
use nix::errno::Errno;
use oneloop_core::{Direction, JoinHandle, KeepAlive, Source};
use oneloop_net::Backoff;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// libuv's `uv__udp_recvmsg` receives this many messages per turn, so that a busy socket does not
/// starve the others.
const RECEIVES_PER_TURN: usize = 32;

/// A socket in the kernel that moves whole messages.
pub(super) trait Packets: 'static {
    type Message;
    type Outgoing: 'static;

    fn source(&self) -> &Source;

    /// Receives one message; None at the end.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Self::Message>>>;

    /// Sends one message, and returns its size in bytes. Cancel safe.
    fn send(&self, outgoing: &Self::Outgoing) -> impl Future<Output = io::Result<usize>>;

    fn byte_count(outgoing: &Self::Outgoing) -> usize;
}

/// The socket of the program, which emits what its handle receives.
pub(super) trait Owner: Clone + 'static {
    type Packets: Packets;

    fn on_message(&self, message: <Self::Packets as Packets>::Message) -> Result<(), Thrown>;

    fn on_end(&self) -> Result<(), Thrown>;

    fn on_error(&self, error: io::Error) -> Result<(), Thrown>;
}

type PollReceived<O> = Poll<io::Result<Option<<<O as Owner>::Packets as Packets>::Message>>>;
type OutgoingOf<O> = <<O as Owner>::Packets as Packets>::Outgoing;

/// Receives the result of a send: the size of the message in bytes.
pub(super) type ThenSent = Then<usize, io::Error>;

/// A message for which the kernel had no room.
struct QueuedMessage<T> {
    outgoing: T,
    then: Cell<Option<ThenSent>>,
    /// As in libuv, a pending send keeps the program alive even if its socket does not.
    _alive: KeepAlive,
}

/// The handle of an open socket.
///
/// ```text
/// receiving:  open ── RECEIVES_PER_TURN, or an error ──▶ held ── the next turn ──▶ open
///             open ── the peer's end ──▶ ended (it can still send)
/// sending:    empty ── EAGAIN ──▶ queue: a task sends it, in order ── sent all ──▶ empty
/// closing:    any ── close ──▶ closed; in the closing phase, queued sends fail with ECANCELED
/// ```
pub(super) struct PacketHandle<O: Owner> {
    runtime: Rc<Runtime>,
    /// None once it is closed: the owner holds the handle as well.
    owner: RefCell<Option<O>>,
    /// None once it is closed.
    socket: RefCell<Option<Rc<O::Packets>>>,
    pace: Pace,
    /// Pauses when receiving fails repeatedly; each failure emits 'error', as in libuv.
    backoff: Cell<Backoff>,
    has_ended: Cell<bool>,
    queue: RefCell<VecDeque<Rc<QueuedMessage<OutgoingOf<O>>>>>,
    /// The task that sends the queue, while there is one.
    sender: RefCell<Option<JoinHandle<()>>>,
}

impl<O: Owner> PacketHandle<O> {
    pub(super) fn start(
        runtime: &Rc<Runtime>,
        owner: O,
        socket: O::Packets,
        is_referenced: bool,
    ) -> Rc<Self> {
        let handle = Rc::new(PacketHandle {
            runtime: Rc::clone(runtime),
            owner: RefCell::new(Some(owner)),
            socket: RefCell::new(Some(Rc::new(socket))),
            pace: Pace::default(),
            backoff: Cell::default(),
            has_ended: Cell::new(false),
            queue: RefCell::default(),
            sender: RefCell::default(),
        });
        handle.set_referenced(is_referenced);
        runtime.handle.spawn_detached(Drive(Rc::clone(&handle)));
        handle
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        self.refer(referenced);
        if let Some(socket) = self.socket() {
            socket.source().set_referenced(referenced);
        }
    }

    /// The socket in the kernel; None once it is closed.
    pub(super) fn socket(&self) -> Option<Rc<O::Packets>> {
        self.socket.borrow().clone()
    }

    /// Sends a message: at once if the kernel has room and nothing is queued, else behind the
    /// queue. `then` is called in a later tick, or by the loop.
    pub(super) fn send(self: &Rc<Self>, outgoing: OutgoingOf<O>, then: Option<ThenSent>) {
        match self.try_send(&outgoing) {
            Some(result) => {
                if let Some(then) = then {
                    self.runtime.next_tick(move || then(result));
                }
            }
            None => self.send_later(outgoing, then),
        }
    }

    /// None if the message has to wait.
    fn try_send(&self, outgoing: &OutgoingOf<O>) -> Option<io::Result<usize>> {
        if !self.queue.borrow().is_empty() {
            return None; // in order
        }
        let Some(socket) = self.socket() else {
            return Some(Err(Errno::EBADF.into()));
        };
        // Polled once, without a waker: a pending send that is dropped has sent nothing (rule 14).
        let send = pin!(socket.send(outgoing));
        match send.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn send_later(self: &Rc<Self>, outgoing: OutgoingOf<O>, then: Option<ThenSent>) {
        let message = Rc::new(QueuedMessage {
            outgoing,
            then: Cell::new(then),
            _alive: self.runtime.handle.keep_alive(),
        });
        self.queue.borrow_mut().push_back(message);
        // One task for the whole queue: sends of one socket must not overtake each other.
        if self.sender.borrow().is_none() {
            let sender = self.runtime.handle.spawn(Rc::clone(self).send_queue());
            self.sender.replace(Some(sender));
        }
    }

    async fn send_queue(self: Rc<Self>) {
        while let Some(socket) = self.socket() {
            let first = self.queue.borrow().front().cloned();
            let Some(first) = first else {
                break;
            };
            let result = socket.send(&first.outgoing).await;
            self.queue.borrow_mut().pop_front();
            if let Some(then) = first.then.take() {
                self.runtime.make_callback(|| then(result));
            }
        }
        self.sender.take();
    }

    fn poll_receive(&self, socket: &O::Packets, cx: &mut Context<'_>) -> PollReceived<O> {
        // Out of its cell while it is polled: cloning a waker is foreign code (rule 2).
        let mut backoff = self.backoff.take();
        let received = match backoff.poll_pause(cx) {
            Poll::Ready(()) => socket.poll_receive(cx),
            Poll::Pending => {
                self.backoff.set(backoff);
                return Poll::Pending;
            }
        };
        match &received {
            Poll::Ready(Err(_)) => drop(backoff.fail(socket.source())),
            // Pending for lack of I/O budget, with more to receive: the run of failures lasts.
            Poll::Pending if socket.source().is_ready(Direction::Read) => {}
            Poll::Pending => backoff.rest(),
            Poll::Ready(Ok(_)) => backoff.succeed(),
        }
        self.backoff.set(backoff);
        received
    }

    /// The number of queued messages, and the sum of their sizes in bytes.
    pub(super) fn queue_size(&self) -> (usize, usize) {
        let queue = self.queue.borrow();
        let bytes = queue
            .iter()
            .map(|message| O::Packets::byte_count(&message.outgoing));
        (queue.len(), bytes.sum())
    }

    pub(super) fn close(self: &Rc<Self>) {
        self.drop_socket();
        self.report_closed_soon();
    }

    fn drop_socket(&self) {
        let (socket, sender) = (self.socket.take(), self.sender.take());
        if let Some(sender) = sender {
            // While it waits for room, it holds the socket, and so the fd.
            sender.cancel();
        }
        drop(socket);
    }

    fn call_owner(&self, f: impl FnOnce(O) -> Result<(), Thrown>) {
        let owner = self.owner.borrow().clone();
        if let Some(owner) = owner {
            self.runtime.make_callback(|| f(owner));
        }
    }
}

impl<O: Owner> Driven for PacketHandle<O> {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn pace(&self) -> &Pace {
        &self.pace
    }

    fn poll_io(self: &Rc<Self>, cx: &mut Context<'_>) {
        // It had its round in this turn; libuv's epoll would report the fd in the next one.
        if self.pace.is_held() {
            return;
        }
        for _ in 0..RECEIVES_PER_TURN {
            // Checked for each message: a listener may have closed the socket.
            let socket = self.socket().filter(|_| !self.has_ended.get());
            let Some(socket) = socket else {
                return;
            };
            match self.poll_receive(&socket, cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(Some(message))) => {
                    self.call_owner(|owner| owner.on_message(message));
                }
                Poll::Ready(Ok(None)) => {
                    self.has_ended.set(true);
                    self.call_owner(|owner| owner.on_end());
                }
                Poll::Ready(Err(error)) => {
                    self.call_owner(|owner| owner.on_error(error));
                    break; // libuv stops at an error and looks again in the next turn
                }
            }
        }
        self.hold();
    }

    fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    fn on_closed(self: Rc<Self>) {
        // libuv's `uv__udp_finish_close` cancels the queued sends in the closing phase.
        // Taken first: a callback may send again, which fails as the socket is closed.
        let (queue, owner) = (self.queue.take(), self.owner.take());
        for then in queue.iter().filter_map(|message| message.then.take()) {
            let canceled = Err(Errno::ECANCELED.into());
            self.runtime.make_callback(|| then(canceled));
        }
        drop(owner);
    }

    fn abandon(&self) {
        self.drop_socket();
        let dropped = (self.queue.take(), self.owner.take());
        drop(dropped);
    }
}
