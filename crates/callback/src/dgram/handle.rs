//! What a socket of messages is for the loop: a task that receives in rounds, and sends that wait
//! in line.

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

/// So many messages are received in one turn: libuv's `uv__udp_recvmsg`.
const RECEIVES_PER_TURN: usize = 32;

/// A socket in the kernel, whose messages move whole.
pub(super) trait Packets: 'static {
    type Message;
    type Outgoing: 'static;

    fn source(&self) -> &Source;

    /// Receives one message; none at the end.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Self::Message>>>;

    /// Sends one message, and says how many bytes it had. Cancel safe.
    fn send(&self, outgoing: &Self::Outgoing) -> impl Future<Output = io::Result<usize>>;

    fn byte_count(outgoing: &Self::Outgoing) -> usize;
}

/// Who hears of what a handle receives.
pub(super) trait Owner: Clone + 'static {
    type Packets: Packets;

    fn on_message(&self, message: <Self::Packets as Packets>::Message) -> Result<(), Thrown>;

    fn on_end(&self) -> Result<(), Thrown>;

    fn on_error(&self, error: io::Error) -> Result<(), Thrown>;
}

type PollReceived<O> = Poll<io::Result<Option<<<O as Owner>::Packets as Packets>::Message>>>;
type OutgoingOf<O> = <<O as Owner>::Packets as Packets>::Outgoing;

/// Hears how a send ended.
pub(super) type Sent = Then<usize, io::Error>;

/// A message for which the kernel had no room.
struct Waiting<T> {
    outgoing: T,
    sent: Cell<Option<Sent>>,
    _alive: KeepAlive,
}

pub(super) struct Handle<O: Owner> {
    runtime: Rc<Runtime>,
    owner: RefCell<Option<O>>,
    socket: RefCell<Option<Rc<O::Packets>>>,
    pace: Pace,
    /// Pauses when receiving fails repeatedly; each failure emits 'error', as in libuv.
    backoff: Cell<Backoff>,
    has_ended: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<Waiting<OutgoingOf<O>>>>>,
    /// The task that sends what waits, while something does.
    sender: RefCell<Option<JoinHandle<()>>>,
}

impl<O: Owner> Handle<O> {
    pub(super) fn start(
        runtime: &Rc<Runtime>,
        owner: O,
        socket: O::Packets,
        is_referenced: bool,
    ) -> Rc<Self> {
        let handle = Rc::new(Handle {
            runtime: Rc::clone(runtime),
            owner: RefCell::new(Some(owner)),
            socket: RefCell::new(Some(Rc::new(socket))),
            pace: Pace::default(),
            backoff: Cell::default(),
            has_ended: Cell::new(false),
            waiting: RefCell::default(),
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

    /// The socket; none once it is closed.
    pub(super) fn socket(&self) -> Option<Rc<O::Packets>> {
        self.socket.borrow().clone()
    }

    /// Sends a message: at once if the kernel takes it, and else behind those that wait. `sent`
    /// hears in a later tick, or from the loop.
    pub(super) fn send(self: &Rc<Self>, outgoing: OutgoingOf<O>, sent: Option<Sent>) {
        match self.try_send(&outgoing) {
            Some(result) => {
                if let Some(sent) = sent {
                    self.runtime.next_tick(move || sent(result));
                }
            }
            None => self.send_later(outgoing, sent),
        }
    }

    /// None if it has to wait.
    fn try_send(&self, outgoing: &OutgoingOf<O>) -> Option<io::Result<usize>> {
        if !self.waiting.borrow().is_empty() {
            return None;
        }
        let Some(socket) = self.socket() else {
            return Some(Err(Errno::EBADF.into()));
        };
        let send = pin!(socket.send(outgoing));
        match send.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn send_later(self: &Rc<Self>, outgoing: OutgoingOf<O>, sent: Option<Sent>) {
        let waiting = Rc::new(Waiting {
            outgoing,
            sent: Cell::new(sent),
            _alive: self.runtime.handle.keep_alive(),
        });
        self.waiting.borrow_mut().push_back(waiting);
        if self.sender.borrow().is_none() {
            let sender = self.runtime.handle.spawn(Rc::clone(self).send_waiting());
            self.sender.replace(Some(sender));
        }
    }

    async fn send_waiting(self: Rc<Self>) {
        while let Some(socket) = self.socket() {
            let first = self.waiting.borrow().front().cloned();
            let Some(first) = first else {
                break;
            };
            let result = socket.send(&first.outgoing).await;
            self.waiting.borrow_mut().pop_front();
            if let Some(sent) = first.sent.take() {
                self.runtime.make_callback(|| sent(result));
            }
        }
        self.sender.take();
    }

    fn poll_receive(&self, socket: &O::Packets, cx: &mut Context<'_>) -> PollReceived<O> {
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
            Poll::Pending if socket.source().is_ready(Direction::Read) => {}
            Poll::Pending => backoff.rest(),
            Poll::Ready(Ok(_)) => backoff.succeed(),
        }
        self.backoff.set(backoff);
        received
    }

    /// How many messages wait, and their bytes.
    pub(super) fn queue_size(&self) -> (usize, usize) {
        let waiting = self.waiting.borrow();
        let bytes = waiting
            .iter()
            .map(|waiting| O::Packets::byte_count(&waiting.outgoing));
        (waiting.len(), bytes.sum())
    }

    pub(super) fn close(self: &Rc<Self>) {
        self.let_go_of_socket();
        self.tell_closed_soon();
    }

    fn let_go_of_socket(&self) {
        let (socket, sender) = (self.socket.take(), self.sender.take());
        if let Some(sender) = sender {
            sender.cancel();
        }
        drop(socket);
    }

    fn tell(&self, f: impl FnOnce(O) -> Result<(), Thrown>) {
        let owner = self.owner.borrow().clone();
        if let Some(owner) = owner {
            self.runtime.make_callback(|| f(owner));
        }
    }
}

impl<O: Owner> Driven for Handle<O> {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn pace(&self) -> &Pace {
        &self.pace
    }

    fn poll_io(self: &Rc<Self>, cx: &mut Context<'_>) {
        if self.pace.is_held() {
            return;
        }
        for _ in 0..RECEIVES_PER_TURN {
            let socket = self.socket().filter(|_| !self.has_ended.get());
            let Some(socket) = socket else {
                return;
            };
            match self.poll_receive(&socket, cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(Some(message))) => self.tell(|owner| owner.on_message(message)),
                Poll::Ready(Ok(None)) => {
                    self.has_ended.set(true);
                    self.tell(|owner| owner.on_end());
                }
                Poll::Ready(Err(error)) => {
                    self.tell(|owner| owner.on_error(error));
                    break;
                }
            }
        }
        self.hold();
    }

    fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    fn on_closed(self: Rc<Self>) {
        let (waiting, owner) = (self.waiting.take(), self.owner.take());
        for sent in waiting.iter().filter_map(|waiting| waiting.sent.take()) {
            let canceled = Err(Errno::ECANCELED.into());
            self.runtime.make_callback(|| sent(canceled));
        }
        drop(owner);
    }

    fn let_go(&self) {
        self.let_go_of_socket();
        let gone = (self.waiting.take(), self.owner.take());
        drop(gone);
    }
}
