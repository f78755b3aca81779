//! What both ends of a connection do: feed hyper, emit what it has read, send what it has written.

use super::incoming::IncomingMessage;
use super::wire::{Driver, Wire};
use crate::continuation::Then;
use crate::microtasks::queue_microtask;
use crate::net::Socket;
use crate::runtime::Runtime;
use crate::thrown::Thrown;
use hyper::body::{Body, Bytes, Frame, Incoming};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// How a pump continues.
pub(super) enum Next {
    /// Nothing is there now.
    Nothing,
    /// There may be more.
    More,
    /// There may be more, once all ticks have run.
    Later,
}

/// A socket, and the wire between it and hyper.
pub(super) struct Line {
    pub(super) socket: Socket,
    pub(super) wire: Wire,
    pub(super) driver: Driver,
    has_paused_socket: Cell<bool>,
    is_pumping: Cell<bool>,
    is_pump_due: Cell<bool>,
}

impl Line {
    pub(super) fn new(socket: &Socket) -> Self {
        Line {
            socket: socket.clone(),
            wire: Wire::default(),
            driver: Driver::default(),
            has_paused_socket: Cell::new(false),
            is_pumping: Cell::new(false),
            is_pump_due: Cell::new(false),
        }
    }

    /// Writes what hyper has written. Returns false if the program should wait for 'drain'.
    pub(super) fn send(&self, written: Option<Then>) -> bool {
        let (output, socket) = (self.wire.take_output(), &self.socket);
        if !socket.is_writable() {
            return false;
        }
        match written {
            Some(written) => socket.write_then(output, written),
            None if output.is_empty() => {
                socket.writable_length() < socket.writable_high_water_mark()
            }
            None => socket.write(output),
        }
    }

    /// Pauses the socket while hyper takes no more, so that the bytes wait in the kernel.
    fn balance(&self, is_reading: bool) {
        let has_unread = is_reading && self.wire.unread() > 0;
        if has_unread != self.has_paused_socket.replace(has_unread) {
            match has_unread {
                true => self.socket.pause(),
                false => self.socket.resume(),
            };
        }
    }

    fn has_unread(&self) -> bool {
        self.wire.unread() > 0 || self.has_paused_socket.get()
    }
}

/// One end of a connection.
///
/// `drive` and `send` call no code of the program; `pump` does, and only once at a time.
pub(super) trait Pumped: Sized + 'static {
    fn line(&self) -> &Line;

    fn runtime(&self) -> &Rc<Runtime>;

    /// Polls hyper until it can do no more.
    fn drive(&self);

    /// Emits the next thing that has arrived.
    fn emit_next(self: &Rc<Self>) -> Result<Next, Thrown>;

    /// True if `emit_next` has something, as far as is known without a poll.
    fn has_news(&self) -> bool;

    /// True while hyper reads.
    fn is_reading(&self) -> bool;

    /// Emits all that has arrived. A call within a call returns at once: the outer one continues.
    fn pump(self: &Rc<Self>) -> Result<(), Thrown> {
        if self.line().is_pumping.replace(true) {
            return Ok(());
        }
        // Also if a listener unwinds: what is left is emitted in a tick.
        let pumping = Pumping {
            end: self,
            is_done: Cell::new(false),
        };
        loop {
            self.drive();
            self.line().send(None);
            match self.emit_next()? {
                Next::More => {}
                Next::Nothing => break,
                Next::Later => {
                    self.pump_after_ticks();
                    break;
                }
            }
        }
        pumping.is_done.set(true);
        self.line().balance(self.is_reading());
        Ok(())
    }

    fn pump_soon(self: &Rc<Self>) {
        if !self.line().is_pump_due.replace(true) {
            let end = Rc::clone(self);
            self.runtime().next_tick(move || end.pump_due());
        }
    }

    fn pump_due(self: &Rc<Self>) -> Result<(), Thrown> {
        self.line().is_pump_due.set(false);
        self.pump()
    }

    /// Continues when no tick is left: Node's parser calls the program for each part of a body, and
    /// after each call all ticks run.
    fn pump_after_ticks(self: &Rc<Self>) {
        if !self.line().is_pump_due.replace(true) {
            let end = Rc::clone(self);
            // A microtask runs behind all ticks, but a tick must come first: this may run in a
            // microtask, and those run to their end.
            self.runtime().next_tick(move || {
                queue_microtask(move || end.pump_due());
                Ok(())
            });
        }
    }

    /// Drives hyper for a message that this end sends, and sends what hyper has written. Returns
    /// false if the program should wait for 'drain'.
    fn push_out(self: &Rc<Self>, written: Option<Then>) -> bool {
        self.drive();
        let has_room = self.line().send(written);
        let line = self.line();
        // hyper may have read more meanwhile, which no call of the program emits on its stack.
        if !line.is_pumping.get() && (self.has_news() || line.has_unread()) {
            self.pump_soon();
        }
        has_room
    }
}

/// What is left of a pump that a listener cut short continues in a tick.
struct Pumping<'a, P: Pumped> {
    end: &'a Rc<P>,
    is_done: Cell<bool>,
}

impl<P: Pumped> Drop for Pumping<'_, P> {
    fn drop(&mut self) {
        self.end.line().is_pumping.set(false);
        if !self.is_done.get() {
            self.end.pump_soon();
        }
    }
}

/// The message that arrives, and its body.
#[derive(Default)]
pub(super) struct Inbound {
    reading: RefCell<Option<Reading>>,
    /// The message has no room for more of its body.
    is_stalled: Cell<bool>,
    /// The input has ended: the message takes the rest without room, as in Node.
    is_ending: Cell<bool>,
}

struct Reading {
    message: IncomingMessage,
    body: Incoming,
    /// What a poll has returned before it was wanted.
    frame: Option<Frame<Bytes>>,
}

/// What a message has got of its body.
pub(super) enum Received {
    /// Nothing is there now.
    Nothing,
    /// Poll hyper, and look again.
    More,
    /// A part of the body was emitted.
    Part,
    /// The whole body was emitted.
    Whole(IncomingMessage),
    /// hyper cannot read the rest.
    Failed(hyper::Error),
}

impl Inbound {
    pub(super) fn begin(&self, message: &IncomingMessage, body: Incoming) {
        self.is_stalled.set(false);
        self.reading.replace(Some(Reading {
            message: message.clone(),
            body,
            frame: None,
        }));
    }

    /// The message whose body is being read.
    pub(super) fn message(&self) -> Option<IncomingMessage> {
        let reading = self.reading.borrow();
        reading.as_ref().map(|reading| reading.message.clone())
    }

    pub(super) fn clear(&self) {
        let gone = self.reading.take();
        drop(gone);
    }

    /// The message has room again. Returns false if it had room before.
    pub(super) fn make_room(&self) -> bool {
        self.is_stalled.replace(false)
    }

    /// The input has ended.
    pub(super) fn end(&self) {
        self.is_ending.set(true);
    }

    /// Tells hyper that the body is wanted.
    pub(super) fn want(&self, driver: &Driver) {
        let mut reading = self.reading.borrow_mut();
        if let Some(reading) = reading.as_mut()
            && reading.frame.is_none()
            && let Poll::Ready(Some(Ok(frame))) = poll_frame(driver, &mut reading.body)
        {
            reading.frame = Some(frame);
        }
    }

    /// Gives the next part of the body to the message.
    pub(super) fn receive(&self, driver: &Driver) -> Result<Received, Thrown> {
        if self.is_stalled.get() && !self.is_ending.get() {
            return Ok(Received::Nothing);
        }
        // Out of its cell: listeners run below.
        let Some(mut reading) = self.reading.take() else {
            return Ok(Received::Nothing);
        };
        let polled = match reading.frame.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => poll_frame(driver, &mut reading.body),
        };
        let message = reading.message.clone();
        match polled {
            Poll::Pending => {
                self.reading.replace(Some(reading));
                Ok(match driver.is_woken() {
                    true => Received::More,
                    false => Received::Nothing,
                })
            }
            Poll::Ready(None) => Ok(Received::Whole(message)),
            Poll::Ready(Some(Err(error))) => Ok(Received::Failed(error)),
            Poll::Ready(Some(Ok(frame))) => {
                self.reading.replace(Some(reading));
                match frame.into_data() {
                    Ok(bytes) => {
                        self.is_stalled.set(!message.on_body(&bytes)?);
                        Ok(match self.is_ending.get() {
                            true => Received::More,
                            false => Received::Part,
                        })
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            message.set_trailers(trailers);
                        }
                        Ok(Received::More)
                    }
                }
            }
        }
    }
}

fn poll_frame(driver: &Driver, body: &mut Incoming) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    driver.poll(|cx| Pin::new(body).poll_frame(cx))
}
