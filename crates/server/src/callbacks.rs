//! One client that the server itself talks to, written with callbacks: `--style callback`.

use crate::callback_client::{self, CallbackClient, Extras, read_to_end, set_idle_timeout};
use crate::clients::{ClientEntry, ListedClient};
use crate::close_reason::CloseReason;
use crate::conversation::{Accepted, Conversation, Step};
use crate::deadlines::{Expired, Limits};
use crate::mode::Mode;
use crate::reports::FOR_INPUT;
use crate::service::Service;
use oneloop::Handle;
use oneloop::callback::net::{Error, Socket};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{self, Entered, set_immediate};
use oneloop::core::Key;
use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tracing::error;

/// How many bytes a client is sent of what its mode produces before the other clients have their
/// turn.
const PRODUCE_BYTES: usize = 128 * 1024;

/// A client's handlers share this. One allocation of 88 bytes: what is not needed by every client
/// is in the extras.
pub(crate) struct Client {
    parts: RefCell<Parts>,
    /// A listener for 'drain' is there: only a client that has had to wait needs one.
    listens_for_drain: Cell<bool>,
}

struct Parts {
    conversation: Conversation,
    mode: Mode,
    extras: Option<Box<Extras>>,
}

/// Makes callbacks usable by code that runs on this loop.
pub(crate) fn enter(handle: &Handle) -> Entered {
    let entered = callback::enter(handle);
    on_uncaught_exception(|thrown, _| error!(%thrown, "a handler failed"));
    entered
}

/// Closes the clients of this loop that are over the budget, which other loops may cause as well.
pub(crate) async fn shed(service: Rc<Service>) {
    poll_fn(|cx| {
        // The waker of this task stands for all callback clients of the loop. The old one is
        // dropped outside the borrow.
        let old = service.shedder.replace(cx.waker().clone());
        drop(old);
        service.clients.note_queues();
        Poll::Pending
    })
    .await
}

/// Serves a connection.
pub(crate) fn serve(accepted: Accepted, mode: Mode) {
    let Accepted {
        conversation,
        socket,
    } = accepted;
    let service = Rc::clone(conversation.service());
    let socket = callback_client::socket(socket);
    socket.set_read_bytes_max(service.input_bytes_max(0, || 0));
    let client = Rc::new(Client {
        parts: RefCell::new(Parts {
            conversation,
            mode,
            extras: None,
        }),
        listens_for_drain: Cell::new(false),
    });
    // Listed before it starts: the start may already send, and so be shed.
    let key = service.clients.add(Rc::clone(&client) as _, &socket);
    client.listen(&socket, key);
    client.start(&socket);
}

impl Client {
    fn listen(self: &Rc<Self>, socket: &Socket, key: Key<ClientEntry>) {
        let client = Rc::clone(self);
        socket
            .on_data(move |socket, input| client.guard(&socket, || client.on_data(&socket, input)));
        let client = Rc::clone(self);
        socket.on_end(move |socket| client.guard(&socket, || client.on_end(&socket)));
        let client = Rc::clone(self);
        socket.on_error(move |_, error| client.on_error(error));
        let client = Rc::clone(self);
        socket.on_close(move |socket, _| client.on_close(&socket, key));
        self.limit_idle_time(socket, None);
    }

    /// Starts, changes or stops the idle timeout, which was `before`.
    fn limit_idle_time(self: &Rc<Self>, socket: &Socket, before: Option<Duration>) {
        let idle = self.service().limits().idle;
        if before.is_none() && idle.is_some() {
            let client = Rc::clone(self);
            socket.on_timeout(move |socket| client.close_early(&socket, Expired::Idle.into()));
        }
        set_idle_timeout(socket, before, idle);
    }

    fn start(self: &Rc<Self>, socket: &Socket) {
        let greeting = self.parts.borrow().mode.greeting();
        if let Some(greeting) = greeting {
            self.send(socket, greeting.as_bytes());
        }
        if self.is_chat() {
            let (client, socket) = (Rc::clone(self), socket.clone());
            let mail = poll_fn(move |cx| {
                client.extras().mail = Some(cx.waker().clone());
                client.poll_steps(cx, &socket)
            });
            self.service().handle.spawn(mail);
        }
        self.advance(socket);
        // The drain may have begun before this connection was accepted, and then no call comes
        // for it.
        self.end_if_drained(socket);
    }

    /// Turns a panic in a handler into the end of this connection only, as the async style does by
    /// ending one task.
    fn guard(&self, socket: &Socket, handler: impl FnOnce()) {
        // In Node an exception in a handler ends the process. Here each client must be as
        // isolated as a task.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(handler)) {
            self.release_permit();
            socket.destroy();
            resume_unwind(payload);
        }
    }

    fn is_chat(&self) -> bool {
        self.parts.borrow().mode.is_chat()
    }

    fn on_data(self: &Rc<Self>, socket: &Socket, input: &[u8]) {
        let service = self.service();
        service.counters.received.add(input.len() as u64);
        // The borrow ends before the write: a write may fail at once and emit 'close', whose
        // handler borrows as well.
        let answer = {
            let parts = &mut *self.parts.borrow_mut();
            if !parts.conversation.is_open() {
                return; // the input of a conversation that ends is dropped
            }
            parts.mode.answer(input)
        };
        if !answer.is_empty() {
            self.send(socket, answer);
            if service.clients.check_memory(&service.server.budget) {
                self.limit_input(socket); // to the room that the kernel has now
            }
        } else if self.listens_for_drain.get() {
            self.limit_input(socket); // a chat may have queued more by now
        }
        self.end_if_drained(socket);
    }

    /// Sends bytes; what the kernel does not take is queued in the socket.
    fn send(self: &Rc<Self>, socket: &Socket, bytes: &[u8]) {
        socket.write(bytes);
        if socket.writable_length() > 0 {
            self.on_queued(socket, bytes.len());
        } else {
            self.count_taken(bytes.len());
        }
    }

    /// Counts bytes that the kernel has taken at once.
    fn count_taken(&self, bytes: usize) {
        let parts = self.parts.borrow();
        parts.conversation.service().counters.sent.add(bytes as u64);
    }

    #[cold]
    fn on_queued(self: &Rc<Self>, socket: &Socket, written: usize) {
        self.count_sent(socket, written);
        self.watch_output(socket);
        self.note_queue(socket);
        self.limit_input(socket);
        // A listener costs memory, so only clients that have had to wait have one.
        if !self.listens_for_drain.replace(true) {
            let client = Rc::clone(self);
            socket.on_drain(move |socket| client.guard(&socket, || client.on_drain(&socket)));
        }
    }

    fn on_drain(self: &Rc<Self>, socket: &Socket) {
        self.count_sent(socket, 0);
        self.note_queue(socket);
        self.limit_input(socket);
        self.end_if_drained(socket);
        self.advance(socket);
    }

    /// The client has sent its last byte.
    fn on_end(self: &Rc<Self>, socket: &Socket) {
        // Both sides have ended then, and Node closes the socket by itself, in the next tick.
        if socket.is_writable_finished() {
            self.release_permit();
        }
        if self.conversation().client_ended() {
            self.parts.borrow_mut().mode.end();
            self.advance(socket);
        }
    }

    /// In a drain, the conversation ends once nothing received is left to answer.
    fn end_if_drained(self: &Rc<Self>, socket: &Socket) {
        if self.is_drained(socket) {
            self.conversation().end_input();
            self.parts.borrow_mut().mode.end_input();
            // Reading continues, although the input is dropped: only a read finds the client's
            // end or reset.
            read_to_end(socket);
            self.advance(socket);
        }
    }

    fn on_error(&self, error: &Error) {
        self.extras().close_reason = Some(CloseReason::Io(error.clone().into()));
    }

    fn on_close(&self, socket: &Socket, key: Key<ClientEntry>) {
        let mut end = Ok(());
        if self.has_extras() {
            self.stop_timer();
            self.note_share(socket, 0);
            let close_reason = self.extras().close_reason.take();
            end = close_reason.map_or(Ok(()), Err);
        }
        // Dropped outside the borrow: a member that leaves a chat wakes the others.
        // The handlers keep the client alive for a while longer, but the room must see the member
        // leave now.
        let mode = mem::replace(&mut self.parts.borrow_mut().mode, Mode::Discard);
        drop(mode);
        self.finish(socket, key, &end);
        self.wake_mail();
    }

    fn has_extras(&self) -> bool {
        self.parts.borrow().extras.is_some()
    }

    /// Takes the steps that the conversation calls for. In a chat that is for a task to do, as
    /// other members wake it.
    fn advance(self: &Rc<Self>, socket: &Socket) {
        if self.is_chat() {
            self.wake_mail();
        } else {
            // Outside a chat, no mode waits for another client, so there is no one to wake:
            // events of the socket bring the next call.
            let _ = self.poll_steps(&mut Context::from_waker(Waker::noop()), socket);
        }
    }

    fn wake_mail(&self) {
        let mut parts = self.parts.borrow_mut();
        let mail = parts.extras.as_mut().and_then(|extras| extras.mail.take());
        drop(parts);
        if let Some(waker) = mail {
            waker.wake();
        }
    }

    /// Takes steps until an event has to come first, or bytes that other clients' turns come
    /// before. Ready once nothing more will be sent.
    fn poll_steps(self: &Rc<Self>, cx: &mut Context<'_>, socket: &Socket) -> Poll<()> {
        let mut produced = 0;
        // A socket that was closed or shut down by a step is not writable, which ends the loop.
        while socket.is_writable() {
            let queued = socket.writable_length();
            match self.poll_step(cx, queued) {
                Err(why) => self.close_early(socket, why),
                Ok(Step::Exchange { sends: true } | Step::Send) => {
                    if queued > 0 {
                        return Poll::Pending; // until 'drain'
                    }
                    if produced >= PRODUCE_BYTES {
                        self.advance_later(cx, socket);
                        return Poll::Pending;
                    }
                    produced += self.send_product(socket);
                }
                Ok(Step::Exchange { sends: false } | Step::Listen) => {
                    self.limit_input(socket);
                    return Poll::Pending;
                }
                Ok(Step::ShutDown) => self.shut_down(socket),
                Ok(Step::Linger) => return Poll::Ready(()),
                Ok(Step::Close) => {
                    self.release_permit();
                    socket.destroy(); // close(2) sends the FIN, too: shutdown(2) would be one call more
                }
            }
        }
        Poll::Ready(())
    }

    fn poll_step(&self, cx: &mut Context<'_>, queued: usize) -> Result<Step, CloseReason> {
        let Parts {
            conversation, mode, ..
        } = &mut *self.parts.borrow_mut();
        Ok(conversation.poll_step(cx, mode, queued)?)
    }

    /// Sends what the kernel takes of what the mode produces. The rest stays with the mode but for
    /// one byte, which waits in the socket: 'drain' reports when the kernel has taken that.
    fn send_product(self: &Rc<Self>, socket: &Socket) -> usize {
        let product = self.parts.borrow().mode.product(|| socket.send_room());
        let mut sent = socket.try_write(&*product);
        self.count_taken(sent);
        if sent < product.len() {
            self.send(socket, &product[sent..=sent]);
            sent += 1;
        }
        self.parts.borrow_mut().mode.produced(sent);
        sent
    }

    /// Continues after the other clients have had their turn.
    fn advance_later(self: &Rc<Self>, cx: &Context<'_>, socket: &Socket) {
        if self.is_chat() {
            // The task runs again within this turn, behind the ones that are ready (rule 15).
            cx.waker().wake_by_ref();
        } else {
            // setImmediate runs after the poll phase: all sockets that are readable come first,
            // as in Node.
            let (client, socket) = (Rc::clone(self), socket.clone());
            set_immediate(move || client.advance(&socket));
        }
    }

    /// Shuts down the write side, and lets the client close.
    fn shut_down(self: &Rc<Self>, socket: &Socket) {
        read_to_end(socket);
        let (client, lingering) = (Rc::clone(self), socket.clone());
        socket.end_then(move |ended| {
            if lingering.is_readable_ended() {
                client.release_permit();
            } else if ended.is_ok() {
                client.linger(&lingering);
            }
        });
    }
}

impl ListedClient for Client {
    fn drain(self: Rc<Self>, socket: &Socket) {
        if !self.close_if_cut_off(socket) {
            self.conversation().is_paused(); // a drain ends a pause
            self.limit_input(socket);
            self.end_if_drained(socket);
        }
    }

    /// Sets how much is read, by how much waits for the client. A mode that sends without end is
    /// not limited: its queue is never empty for long, and the client's end would be found late.
    fn limit_input(&self, socket: &Socket) {
        let (is_limited, waiting) = {
            let Parts {
                conversation, mode, ..
            } = &*self.parts.borrow();
            let is_limited = conversation.is_open() && !mode.is_endless();
            (is_limited, mode.waiting())
        };
        if !is_limited {
            return;
        }
        let queued = socket.writable_length() + waiting;
        let service = self.service();
        match service.input_bytes_max(queued, || socket.send_room()) {
            0 => {
                // As in Node, a paused socket reads once more: a single byte then.
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
        let queued = socket.writable_length();
        if queued > 0 || self.has_extras() {
            self.note_share(socket, queued);
        }
    }

    fn follow_settings(self: Rc<Self>, socket: &Socket, before: Limits) {
        self.limit_idle_time(socket, before.idle);
        if socket.writable_length() > 0 {
            self.watch_output(socket);
        }
        self.limit_input(socket);
    }

    fn obey(self: Rc<Self>, socket: &Socket) {
        self.obey_order(socket, |pauses| {
            if pauses {
                socket.pause();
            } else {
                socket.resume();
                self.limit_input(socket);
            }
        });
    }

    fn report(&self, socket: &Socket) {
        let waiting = self.parts.borrow().mode.waiting();
        self.report_traffic(socket, waiting, FOR_INPUT);
    }
}

impl CallbackClient for Client {
    fn conversation(&self) -> RefMut<'_, Conversation> {
        RefMut::map(self.parts.borrow_mut(), |parts| &mut parts.conversation)
    }

    fn uncounted(&self) -> usize {
        let parts = self.parts.borrow();
        parts.extras.as_deref().map_or(0, Extras::uncounted)
    }

    fn extras(&self) -> RefMut<'_, Extras> {
        RefMut::map(self.parts.borrow_mut(), |parts| {
            &mut **parts.extras.get_or_insert_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_handlers_of_a_client_share_takes_88_bytes() {
        let counts = 2 * size_of::<usize>(); // of the Rc
        assert_eq!(counts + size_of::<Client>(), 88);
    }
}
