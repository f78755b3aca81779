//! One client, written with callbacks: `--style callback`. What it is told is the same as in
//! `connection`, and so are its limits.

use crate::budget::{Budget, Queued};
use crate::client::{Accepted, Broken, Place, log_end};
use crate::inspect::{FOR_CLIENT, FOR_INPUT, Report, Reports};
use crate::mode::Mode;
use crate::options::{Options, Style};
use crate::patience::Expired;
use crate::service::Service;
use crate::watch::{Watch, Watched, to_ms};
use oneloop::callback::net::{Error, Socket, SocketOptions};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{self, Entered, set_immediate};
use oneloop::net::{CHUNK_BYTES, Socket as NetSocket};
use oneloop::{Handle, Key, Slots};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tracing::error;

/// What a client is sent of its own accord before the others have their turn.
const PRODUCE_BYTES: usize = 128 * 1024;

/// Full reads of one client in one turn: the share of I/O that a task has in the async style.
const READS_PER_TURN: u32 = 2;

/// A client that hears of what concerns all.
pub(crate) trait Listed {
    /// The server drains: ends the client, if nothing received is left that could still be answered.
    fn drain(self: Rc<Self>, client: &Socket);

    /// Memory is scarce, or no longer: says how much is read from now on.
    fn limit_input(&self, client: &Socket);

    /// Has the budget know how much waits for the client, and closes it if it has to go.
    fn note_queue(&self, client: &Socket);

    /// Which of the server's clients it is; when it was accepted, in tenths of a second of the server's life;
    /// and how many bytes wait for it that its socket does not have.
    fn identity(&self) -> (u64, u32, usize);

    /// What a client waits for that has taken all its output.
    fn waits_for(&self) -> &'static str {
        FOR_INPUT
    }
}

/// A client's socket, and what its handlers share: they are given the socket, so it is not in there.
pub(crate) type Open = (Rc<dyn Listed>, Socket);

/// The clients of a loop.
#[derive(Default)]
pub(crate) struct Clients {
    open: RefCell<Slots<Open>>,
    /// What they were told last.
    memory_is_scarce: Cell<bool>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients({})", self.open.borrow().len())
    }
}

impl Clients {
    /// Has a client hear of what concerns all.
    pub(crate) fn add(&self, client: Rc<dyn Listed>, socket: &Socket) -> Key<Open> {
        self.open.borrow_mut().insert((client, socket.clone()))
    }

    /// It hears of it no longer.
    pub(crate) fn remove(&self, place: Key<Open>) {
        let open = self.open.borrow_mut().remove(place);
        drop(open);
    }

    /// Has each client say what it is at.
    pub(crate) fn report(&self, reports: &Reports, now: u32) {
        for (_, (client, socket)) in self.open.borrow().iter() {
            let (number, accepted_at, elsewhere) = client.identity();
            let buffered = socket.writable_length();
            let waits = if socket.needs_drain() {
                FOR_CLIENT
            } else {
                client.waits_for()
            };
            let report = Report {
                received: socket.bytes_read(),
                sent: socket.bytes_written() - buffered as u64,
                queued: buffered + elsewhere,
                age: now.saturating_sub(accepted_at),
                waits,
            };
            reports.add(number, socket.connected_to(), report);
        }
    }

    /// Has each client finish.
    pub(crate) fn drain(&self) {
        self.each(|client, socket| client.drain(socket));
    }

    /// Tells each client when memory has become scarce, or no longer is: how much a socket reads is said
    /// before it reads. Gives whether it is scarce.
    pub(crate) fn look_at_memory(&self, budget: &Budget) -> bool {
        let was_scarce = self.memory_is_scarce.get();
        let is_scarce = budget.is_still_scarce(was_scarce);
        if is_scarce != was_scarce {
            self.memory_is_scarce.set(is_scarce);
            self.each(|client, socket| client.limit_input(socket));
        }
        is_scarce
    }

    fn each(&self, tell: impl Fn(Rc<dyn Listed>, &Socket)) {
        let open: Vec<Open> = {
            let open = self.open.borrow();
            open.iter().map(|(_, client)| client.clone()).collect()
        };
        for (client, socket) in open {
            tell(client, &socket);
        }
    }
}

pub(crate) struct Client {
    service: Rc<Service>,
    mode: RefCell<Mode>,
    number: u64,
    accepted_at: u32,
    /// The mode sends without end, so that reading cannot wait until there is less to send.
    is_endless: bool,
    /// The server wants no more input: what waits goes out, and then the end.
    ending: Cell<bool>,
    place: Cell<Option<Place>>,
    hears_drain: Cell<bool>,
    rare: RefCell<Option<Box<Rare>>>,
}

/// What most clients never need.
#[derive(Default)]
struct Rare {
    /// Wakes the task that sends what the others in a chat said.
    mail: Option<Waker>,
    watch: Watch,
    /// Its part of the budget, while something waits.
    queued: Option<Queued>,
    broken: Option<Broken>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.number)
    }
}

/// Closes the clients that the budget has go, be it for those of other loops.
pub(crate) async fn shed(service: Rc<Service>) {
    poll_fn(|cx| {
        let old = service.shedder.replace(cx.waker().clone());
        drop(old);
        let clients = &service.clients;
        clients.each(|client, socket| client.note_queue(socket));
        Poll::Pending
    })
    .await
}

/// Has code on a loop use callbacks, if clients are served by them.
pub(crate) fn enter(options: &Options, handle: &Handle) -> Option<Entered> {
    let entered = (options.style == Style::Callback).then(|| callback::enter(handle));
    if entered.is_some() {
        on_uncaught_exception(|thrown, _| error!(%thrown, "a handler failed"));
    }
    entered
}

/// A socket that reads no more than its share, and whose end is ours to say.
pub(crate) fn socket(connected: NetSocket, high_water_mark: usize) -> Socket {
    let options = SocketOptions {
        allow_half_open: true,
        high_water_mark,
        ..SocketOptions::default()
    };
    let socket = Socket::from_connected(connected, options);
    socket.set_reads_per_turn_max(READS_PER_TURN);
    socket
}

/// Serves a connection.
pub(crate) fn serve(accepted: Accepted, mode: Mode) {
    let service = Rc::clone(accepted.place.service());
    // So 'drain' tells when nothing waits any more; how much may wait meanwhile is looked at here.
    let socket = socket(accepted.socket, 1);
    socket.set_read_bytes_max(service.input_bytes_max(0, || 0));
    let client = Rc::new(Client {
        service: Rc::clone(&service),
        is_endless: mode.produces(), // nobody in a chat has said anything yet
        mode: RefCell::new(mode),
        number: accepted.number,
        accepted_at: service.shared.age(),
        ending: Cell::new(false),
        place: Cell::new(Some(accepted.place)),
        hears_drain: Cell::new(false),
        rare: RefCell::default(),
    });
    let place = service.clients.add(Rc::clone(&client) as _, &socket);
    client.listen(&socket, place);
    client.start(&socket);
}

impl Client {
    fn listen(self: &Rc<Self>, socket: &Socket, place: Key<Open>) {
        let client = Rc::clone(self);
        socket
            .on_data(move |socket, input| client.guard(&socket, || client.on_data(&socket, input)));
        let client = Rc::clone(self);
        socket.on_end(move |socket| client.guard(&socket, || client.on_end(&socket)));
        let client = Rc::clone(self);
        socket.on_error(move |_, error| client.on_error(error));
        let client = Rc::clone(self);
        socket.on_close(move |socket, _| client.on_close(&socket, place));
        if let Some(idle) = self.service.limits.idle {
            let client = Rc::clone(self);
            socket.on_timeout(move |socket| client.give_up(&socket, Expired::Idle.into()));
            socket.set_timeout(to_ms(idle));
        }
    }

    fn start(self: &Rc<Self>, socket: &Socket) {
        let (greeting, closes_first, is_chat) = {
            let mode = self.mode.borrow();
            (mode.greeting(), mode.closes_first(), mode.is_chat())
        };
        if let Some(greeting) = greeting {
            self.send(socket, greeting.as_bytes());
        }
        if is_chat {
            let (client, socket) = (Rc::clone(self), socket.clone());
            let handle = self.service.handle.clone();
            handle.spawn(poll_fn(move |cx| client.poll_mail(cx, &socket)));
        }
        self.produce(socket);
        if closes_first {
            self.begin_end(socket);
        }
        self.end_if_drained(socket);
    }

    fn on_data(self: &Rc<Self>, socket: &Socket, input: &[u8]) {
        if self.ending.get() {
            return;
        }
        let answer = self.mode.borrow_mut().answer(input);
        if !answer.is_empty() {
            self.send(socket, answer);
            let service = &self.service;
            let is_scarce = service.clients.look_at_memory(&service.shared.budget);
            if is_scarce {
                self.limit_input(socket); // by the room that there is now
            }
        } else if self.hears_drain.get() {
            self.limit_input(socket); // in a chat: it has had something wait before
        }
        self.end_if_drained(socket);
    }

    /// Has a bug in a handler end this connection only, as a panic ends one task in the async style.
    fn guard(&self, socket: &Socket, handler: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(handler)) {
            self.give_place_back();
            socket.destroy();
            resume_unwind(payload);
        }
    }

    /// Sends bytes; what the kernel does not take waits.
    fn send(self: &Rc<Self>, socket: &Socket, bytes: &[u8]) {
        socket.write(bytes);
        if socket.writable_length() > 0 {
            self.on_output_waits(socket);
        }
    }

    #[cold]
    fn on_output_waits(self: &Rc<Self>, socket: &Socket) {
        self.watch_output(socket);
        self.note_queue(socket);
        self.limit_input(socket);
        if !self.hears_drain.replace(true) {
            let client = Rc::clone(self);
            socket.on_drain(move |socket| client.guard(&socket, || client.on_drain(&socket)));
        }
    }

    /// All is sent.
    fn on_drain(self: &Rc<Self>, socket: &Socket) {
        self.note_queue(socket);
        self.limit_input(socket);
        self.wake_mail();
        self.produce(socket);
        self.end_if_drained(socket);
    }

    /// Sends what the mode sends by itself, and goes on when the others have had their turn.
    fn produce(self: &Rc<Self>, socket: &Socket) {
        if !self.is_endless {
            return;
        }
        let mut produced = 0;
        while produced < PRODUCE_BYTES {
            if self.ending.get() || !socket.is_writable() || socket.writable_length() > 0 {
                return;
            }
            produced += self.send_product(socket);
        }
        let (client, socket) = (Rc::clone(self), socket.clone());
        set_immediate(move || client.produce(&socket));
    }

    /// Sends what the kernel takes of what the mode has to send. The rest stays where it is, and costs this
    /// client nothing but the one byte that waits in the socket: 'drain' tells when that is taken.
    fn send_product(self: &Rc<Self>, socket: &Socket) -> usize {
        let product = self.mode.borrow().product(|| socket.send_room());
        let mut sent = socket.try_write(&*product);
        if sent < product.len() {
            self.send(socket, &product[sent..=sent]);
            sent += 1;
        }
        self.mode.borrow_mut().produced(sent);
        sent
    }

    /// The client has sent its last: what waits for it goes out.
    fn on_end(self: &Rc<Self>, socket: &Socket) {
        if socket.is_writable_finished() {
            self.give_place_back();
        }
        if self.ending.replace(true) {
            return;
        }
        self.mode.borrow_mut().end();
        if self.mode.borrow().is_chat() {
            self.wake_mail(); // it goes when it has heard what was said
        } else {
            self.go(socket);
        }
    }

    /// Closes the connection of a client that has sent its last, once all is sent.
    fn go(self: &Rc<Self>, socket: &Socket) {
        if socket.writable_length() == 0 {
            self.give_place_back();
            socket.destroy(); // closing says so, too, and takes one call less
        } else {
            let client = Rc::clone(self);
            socket.end_then(move |_| client.give_place_back());
        }
    }

    /// In a drain the server ends once nothing received is left that could still be answered.
    fn end_if_drained(self: &Rc<Self>, socket: &Socket) {
        let is_asked = self.service.is_draining() && !self.ending.get();
        if is_asked && socket.readable_length() == 0 && socket.unread_bytes() == 0 {
            self.begin_end(socket);
        }
    }

    fn begin_end(self: &Rc<Self>, socket: &Socket) {
        self.ending.set(true);
        self.mode.borrow_mut().end_input();
        if self.mode.borrow().is_chat() {
            self.wake_mail(); // it ends when the others have said their last
        } else {
            self.end(socket);
        }
    }

    /// Sends the end once all is sent. What the client sends until it closes, too, is read and dropped:
    /// to close with input unread would reset the connection, and with it what is on its way.
    fn end(self: &Rc<Self>, socket: &Socket) {
        let (client, lingering) = (Rc::clone(self), socket.clone());
        socket.set_read_bytes_max(CHUNK_BYTES);
        socket.resume();
        socket.end_then(move |ended| {
            if lingering.is_readable_ended() {
                client.give_place_back();
            } else if ended.is_ok() {
                client.linger(&lingering);
            }
        });
    }

    fn on_error(&self, error: &Error) {
        let broken = Broken::Io(error.clone().into());
        self.rare(|rare| rare.broken = Some(broken));
    }

    fn on_close(&self, socket: &Socket, place: Key<Open>) {
        self.ending.set(true);
        if self.rare.borrow().is_some() {
            self.stop_watch();
            self.note_waiting(socket, 0);
        }
        let mode = self.mode.replace(Mode::Discard); // who chats leaves the room
        drop(mode);
        self.service.clients.remove(place);
        self.wake_mail();
        let end = self
            .take_rare(|rare| rare.broken.take())
            .map_or(Ok(()), Err);
        log_end(&self.service, self.number, &end, || socket.remote_addr());
        self.give_place_back();
    }

    /// Before the client can see the end: it may come again at once.
    fn give_place_back(&self) {
        drop(self.place.take());
    }

    fn rare<T>(&self, f: impl FnOnce(&mut Rare) -> T) -> T {
        f(self.rare.borrow_mut().get_or_insert_default())
    }

    fn take_rare<T>(&self, take: impl FnOnce(&mut Rare) -> Option<T>) -> Option<T> {
        self.rare.borrow_mut().as_deref_mut().and_then(take)
    }

    fn wake_mail(&self) {
        if let Some(waker) = self.take_rare(|rare| rare.mail.take()) {
            waker.wake();
        }
    }

    /// Sends what others said, as long as there is room. Ready when there is nothing more to hear.
    fn poll_mail(self: &Rc<Self>, cx: &mut Context<'_>, socket: &Socket) -> Poll<()> {
        let waker = cx.waker().clone();
        self.rare(|rare| rare.mail = Some(waker));
        let mut sent = 0;
        while socket.is_writable() {
            // Asked before the look at what waits: what is said in between is heard the next time.
            let more_may_come = self.mode.borrow().may_hear_more();
            let waits = self.mode.borrow().poll_produces(cx);
            match waits {
                Poll::Ready(Err(lost)) => {
                    self.give_up(socket, lost.into());
                    return Poll::Ready(());
                }
                _ if socket.writable_length() > 0 => return Poll::Pending, // until 'drain'
                Poll::Ready(Ok(())) if sent < PRODUCE_BYTES => sent += self.send_product(socket),
                Poll::Ready(Ok(())) => {
                    cx.waker().wake_by_ref(); // the others have their turn
                    return Poll::Pending;
                }
                Poll::Pending if !self.ending.get() || more_may_come => {
                    self.limit_input(socket);
                    return Poll::Pending;
                }
                Poll::Pending => {
                    if socket.is_readable_ended() {
                        self.go(socket);
                    } else {
                        self.end(socket);
                    }
                    return Poll::Ready(());
                }
            }
        }
        Poll::Ready(())
    }
}

impl Listed for Client {
    fn identity(&self) -> (u64, u32, usize) {
        let elsewhere = self.mode.borrow().waiting();
        (self.number, self.accepted_at, elsewhere)
    }

    fn drain(self: Rc<Self>, socket: &Socket) {
        self.end_if_drained(socket);
    }

    /// While much waits for the client, it is not listened to.
    fn limit_input(&self, socket: &Socket) {
        if self.is_endless || self.ending.get() {
            return;
        }
        let waiting = socket.writable_length() + self.mode.borrow().waiting();
        match self.service.input_bytes_max(waiting, || socket.send_room()) {
            0 => {
                // As in Node, a paused socket reads once more: a byte, as there is no less.
                socket.set_read_bytes_max(1);
                socket.pause();
            }
            bytes_max => {
                socket.set_read_bytes_max(bytes_max);
                if socket.is_paused() {
                    socket.resume();
                }
            }
        }
    }

    fn note_queue(&self, socket: &Socket) {
        let waiting = socket.writable_length();
        if waiting > 0 || self.rare.borrow().is_some() {
            self.note_waiting(socket, waiting);
        }
    }
}

impl Watched for Client {
    fn service(&self) -> &Rc<Service> {
        &self.service
    }

    fn with_watch<T>(&self, f: impl FnOnce(&mut Watch) -> T) -> T {
        self.rare(|rare| f(&mut rare.watch))
    }

    fn with_queued<T>(&self, f: impl FnOnce(&mut Option<Queued>) -> T) -> T {
        self.rare(|rare| f(&mut rare.queued))
    }

    fn give_up(&self, socket: &Socket, why: Broken) {
        socket.remote_addr(); // it is asked for while there is one, and remembered
        self.rare(|rare| rare.broken = Some(why));
        self.give_place_back();
        socket.destroy();
    }
}
