//! How long a client may not take what waits for it, in the callback style.

use crate::budget::Queued;
use crate::client::Broken;
use crate::patience::{Expired, LINGER};
use crate::service::Service;
use oneloop::callback::net::Socket;
use oneloop::callback::{Timeout, clear_timeout, set_timeout};
use std::rc::Rc;
use std::time::Duration;

/// Looks after a while whether a client takes what waits for it, or closes.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    timer: Option<Timeout>,
    /// Bytes that the kernel had taken when it looked last.
    taken: u64,
}

/// A client that can be given up.
pub(crate) trait Watched: 'static {
    fn service(&self) -> &Rc<Service>;

    /// Does something with its watch: something that calls nobody.
    fn with_watch<T>(&self, f: impl FnOnce(&mut Watch) -> T) -> T;

    /// Does something with its part of the budget: something that calls nobody.
    fn with_queued<T>(&self, f: impl FnOnce(&mut Option<Queued>) -> T) -> T;

    /// Closes the connection before its time.
    fn give_up(&self, socket: &Socket, why: Broken);

    /// Has the budget know how much waits for the client, and gives it up if it has to go.
    fn note_waiting(&self, socket: &Socket, bytes: usize) {
        let service = self.service();
        let shedder = service.shedder.borrow().clone();
        let mut queued = self.with_queued(Option::take);
        let noted = service.shared.budget.note(&mut queued, bytes, &shedder);
        self.with_queued(|place| *place = queued);
        if let Err(crowded) = noted {
            self.give_up(socket, crowded.into());
        }
    }

    /// Gives the client up if it takes nothing for as long as it may.
    fn watch_output(self: &Rc<Self>, socket: &Socket) {
        let Some(limit) = self.service().limits.write else {
            return;
        };
        if self.with_watch(|watch| watch.timer.is_some()) {
            return;
        }
        self.with_watch(|watch| watch.taken = taken(socket));
        let (client, socket) = (Rc::clone(self), socket.clone());
        self.set_watch(limit, move || client.look_at_output(&socket));
    }

    fn look_at_output(self: &Rc<Self>, socket: &Socket) {
        let before = self.with_watch(|watch| {
            watch.timer = None;
            watch.taken
        });
        if socket.writable_length() == 0 || socket.is_destroyed() {
            return;
        }
        // A client that takes a little at a time makes some room long before the kernel tells.
        if taken(socket) > before || socket.retry_write() {
            self.watch_output(socket);
        } else {
            self.give_up(socket, Expired::Write.into());
        }
    }

    /// Gives the client up if it does not close soon, now that the server has.
    fn linger(self: &Rc<Self>, socket: &Socket) {
        let (client, socket) = (Rc::clone(self), socket.clone());
        self.set_watch(LINGER, move || {
            client.give_up(&socket, Expired::Linger.into());
        });
    }

    fn set_watch(&self, after: Duration, look: impl FnOnce() + 'static) {
        self.stop_watch();
        let timer = set_timeout(look, to_ms(after));
        self.with_watch(|watch| watch.timer = Some(timer));
    }

    fn stop_watch(&self) {
        if let Some(timer) = self.with_watch(|watch| watch.timer.take()) {
            clear_timeout(timer);
        }
    }
}

/// Bytes that the kernel has taken for the client.
pub(crate) fn taken(socket: &Socket) -> u64 {
    socket.bytes_written() - socket.writable_length() as u64
}

/// Node's timers may fire up to a millisecond early.
pub(crate) fn to_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3 + 1.0
}
