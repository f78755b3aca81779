//! One client that is wired to an upstream, written with callbacks, as in Node: `client.pipe(upstream)` and
//! `upstream.pipe(client)`. What is more is for the limits, and for the drain.
//!
//! As in Node, a socket that fails is gone with all that was not read from it: an upstream that closes before it
//! has taken everything is not heard out, as it is in the other styles.

use crate::budget::Queued;
use crate::callbacks::{self, Listed, Open};
use crate::client::{Accepted, Broken, Place, log_end, poll_gone};
use crate::inspect::{FOR_CONNECTION, FOR_INPUT, FOR_PEER, Report};
use crate::patience::{Expired, HANG_UP_GRACE};
use crate::service::Service;
use crate::upstream::Upstream;
use crate::watch::{Watch, Watched, taken, to_ms};
use oneloop::Key;
use oneloop::callback::net::{Error, Socket, event};
use oneloop::callback::{Timeout, clear_timeout, set_timeout};
use oneloop::net::{CHUNK_BYTES, Socket as NetSocket};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// What the handlers of both sockets share; they are given the one that they are of.
struct Pair {
    service: Rc<Service>,
    number: u64,
    accepted_at: u32,
    place: Cell<Option<Place>>,
    upstream: RefCell<Option<Socket>>,
    /// The client is listened to no longer.
    ending: Cell<bool>,
    watch: RefCell<Watch>,
    /// Their part of the budget, while something waits.
    queued: RefCell<Option<Queued>>,
    /// Looks whether the client has hung up while the upstream takes nothing.
    hang_up_look: Cell<Option<Timeout>>,
    broken: RefCell<Option<Broken>>,
}

/// Serves a client.
pub(crate) fn serve(accepted: Accepted, upstream: Arc<Upstream>) {
    let service = Rc::clone(accepted.place.service());
    let accepted_at = service.shared.age();
    service.handle.clone().spawn_detached(async move {
        match connect(&accepted, accepted_at, &upstream).await {
            Ok(connected) => {
                let connected = connected.map_err(|error| service.tell_of_no_peer(error));
                wire(accepted, accepted_at, connected.ok());
            }
            Err(gone) => log_end(&service, accepted.number, &Err(gone.into()), || None),
        }
    });
}

/// Connects for a client that may go meanwhile.
///
/// # Errors
/// Why the client has gone.
async fn connect(
    client: &Accepted,
    accepted_at: u32,
    upstream: &Upstream,
) -> io::Result<io::Result<NetSocket>> {
    let service = client.place.service();
    let mut connect = pin!(upstream.connect(&service.handle));
    let mut reported = service.reports.round();
    poll_fn(|cx| match connect.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(Ok(connected)),
        Poll::Pending => {
            if service.reports.is_asked(&mut reported) {
                report(client, accepted_at);
            }
            poll_gone(&client.socket, cx).map(Err)
        }
    })
    .await
}

/// Says, as SIGUSR1 asks, that a client has no upstream yet.
fn report(client: &Accepted, accepted_at: u32) {
    let service = client.place.service();
    let report = Report {
        received: 0,
        sent: 0,
        queued: 0,
        age: service.shared.age().saturating_sub(accepted_at),
        waits: FOR_CONNECTION,
    };
    let peer = client.socket.peer_addr().ok();
    service.reports.add(client.number, peer, report);
}

fn wire(accepted: Accepted, accepted_at: u32, upstream: Option<NetSocket>) {
    let service = Rc::clone(accepted.place.service());
    let socket = |connected| {
        let socket = callbacks::socket(connected, 1);
        socket.set_read_bytes_max(service.ahead_bytes_max(|| 0));
        socket
    };
    let (client, upstream) = (socket(accepted.socket), upstream.map(socket));
    let pair = Rc::new(Pair {
        service: Rc::clone(&service),
        number: accepted.number,
        accepted_at,
        place: Cell::new(Some(accepted.place)),
        upstream: RefCell::new(upstream.clone()),
        ending: Cell::new(false),
        watch: RefCell::default(),
        queued: RefCell::default(),
        hang_up_look: Cell::new(None),
        broken: RefCell::default(),
    });
    let place = service.clients.add(Rc::clone(&pair) as _, &client);
    pair.listen(&client, place);
    match upstream {
        Some(upstream) => {
            pair.listen_upstream(&client, &upstream);
            // Also behind its end, while only the other one has something to say.
            client.watch_resets();
            upstream.watch_resets();
            client.pipe(&upstream);
            upstream.pipe(&client);
            pair.listen_behind_pipes(&client, &upstream);
            pair.end_if_drained(&client);
        }
        None => pair.end(&client),
    }
}

impl Pair {
    fn listen(self: &Rc<Self>, client: &Socket, place: Key<Open>) {
        let pair = Rc::clone(self);
        client.on_end(move |client| pair.on_end(&client));
        let pair = Rc::clone(self);
        client.on_error(move |_, error| pair.on_error(error));
        let pair = Rc::clone(self);
        client.on_close(move |client, _| pair.on_close(&client, place));
        if let Some(idle) = self.service.limits.idle {
            let pair = Rc::clone(self);
            client.on_timeout(move |client| pair.give_up(&client, Expired::Idle.into()));
            client.set_timeout(to_ms(idle));
            if let Some(upstream) = &*self.upstream.borrow() {
                // It may have something to take when the client is gone.
                upstream.on_timeout(|upstream| {
                    if upstream.is_readable_ended() {
                        upstream.destroy();
                    }
                });
                upstream.set_timeout(to_ms(idle));
            }
        }
    }

    fn listen_upstream(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        // Before the pipe hears of it, which has the client hear it, too.
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_end(move |_| pair.on_upstream_end(&to));
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_error(move |upstream, error| pair.on_upstream_error(&upstream, &to, error));
    }

    /// What looks at what the pipes have done.
    fn listen_behind_pipes(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        let pair = Rc::clone(self);
        client.on_data(move |client, _| {
            pair.on_moved(&client);
            pair.end_if_drained(&client);
        });
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_data(move |_, _| {
            if to.writable_length() > 0 {
                pair.watch_output(&to);
            }
            pair.on_moved(&to);
        });
        let pair = Rc::clone(self);
        client.on_drain(move |client| pair.on_moved(&client));
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_drain(move |_| pair.on_moved(&to));
        let (pair, to) = (Rc::clone(self), upstream.clone());
        client.on(event::Pause, move |client| pair.watch_hang_up(&client, &to));
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_close(move |_, _| {
            if pair.ending.get() {
                hear_out(&to); // the pipe has paused it, but its end is to be heard
            }
        });
    }

    /// Gives up a client that has hung up while the upstream takes nothing. The pipe pauses a client only
    /// then, and a look every now and then costs less than one at each pause.
    fn watch_hang_up(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        if self.hang_up_look.get().is_some() {
            return;
        }
        let before = taken(upstream);
        let (pair, client, upstream) = (Rc::clone(self), client.clone(), upstream.clone());
        let look = move || {
            pair.hang_up_look.set(None);
            if client.is_destroyed() || !client.is_paused() {
                return;
            }
            if client.is_hung_up() && taken(&upstream) == before {
                reset(&upstream); // it must not take this for the client's end
                pair.give_up(&client, Expired::HangUp.into());
            } else {
                pair.watch_hang_up(&client, &upstream);
            }
        };
        let look = set_timeout(look, to_ms(HANG_UP_GRACE));
        self.hang_up_look.set(Some(look));
    }

    /// Something was passed on, or waits to be.
    fn on_moved(&self, client: &Socket) {
        let had_to_wait = self.queued.borrow().is_some();
        let waits = had_to_wait || self.waiting(client) > 0;
        if waits {
            self.note_queue(client);
        }
        let service = &self.service;
        let is_scarce = service.clients.look_at_memory(&service.shared.budget);
        if waits || is_scarce {
            self.limit_input(client);
        }
    }

    /// How many bytes wait for the two.
    fn waiting(&self, client: &Socket) -> usize {
        let upstream = self.upstream.borrow();
        let for_upstream = upstream.as_ref().map_or(0, Socket::writable_length);
        client.writable_length() + for_upstream
    }

    /// The client has sent its last.
    fn on_end(&self, client: &Socket) {
        self.ending.set(true);
        if client.is_writable_ended() {
            self.give_place_back();
        }
    }

    /// The upstream has sent its last.
    fn on_upstream_end(self: &Rc<Self>, client: &Socket) {
        if client.is_readable_ended() {
            self.give_place_back();
        } else if self.ending.get() {
            self.end(client);
        }
    }

    /// The server ends: the client, too, has little time left.
    fn end(self: &Rc<Self>, client: &Socket) {
        self.ending.set(true);
        hear_out(client);
        if client.is_writable_finished() {
            return self.linger(client);
        }
        let (pair, lingering) = (Rc::clone(self), client.clone());
        client.end_then(move |ended| {
            if ended.is_ok() && !lingering.is_readable_ended() {
                pair.linger(&lingering);
            }
        });
    }

    /// In a drain the upstream hears that no more comes, once all that was received is passed on, and has
    /// what is left of `--drain` to answer.
    fn end_if_drained(&self, client: &Socket) {
        let is_asked = self.service.is_draining() && !self.ending.get();
        if is_asked && client.readable_length() == 0 && client.unread_bytes() == 0 {
            self.ending.set(true);
            let upstream = self.upstream.borrow().clone();
            if let Some(upstream) = upstream {
                client.unpipe(&upstream);
                hear_out(client);
                upstream.end();
            }
        }
    }

    fn on_error(&self, error: &Error) {
        self.broken.replace(Some(Broken::Io(error.clone().into())));
        if let Some(upstream) = self.upstream.take() {
            reset(&upstream); // it must not take this for the client's end
        }
    }

    fn on_upstream_error(self: &Rc<Self>, upstream: &Socket, client: &Socket, error: &Error) {
        if upstream.is_readable_ended() {
            return self.end(client); // it has said all it had to say, and did not want to hear the rest
        }
        self.broken
            .replace(Some(Broken::Peer(error.clone().into())));
        self.give_place_back();
        reset(client);
    }

    fn on_close(&self, client: &Socket, place: Key<Open>) {
        self.stop_watch();
        self.note_waiting(client, 0);
        if let Some(look) = self.hang_up_look.take() {
            clear_timeout(look);
        }
        self.service.clients.remove(place);
        let end = self.broken.take().map_or(Ok(()), Err);
        if let Some(upstream) = self.upstream.take()
            && (end.is_err() || !upstream.is_readable_ended())
        {
            upstream.destroy(); // nobody is there any more to hear it
        }
        log_end(&self.service, self.number, &end, || client.remote_addr());
        self.give_place_back();
    }

    /// Before the client can see the end: it may come again at once.
    fn give_place_back(&self) {
        drop(self.place.take());
    }
}

/// Closes with a reset, or, as a Unix socket has none, without.
fn reset(socket: &Socket) {
    if socket.reset_and_destroy().is_err() {
        socket.destroy();
    }
}

/// What comes is read to its end, and dropped.
fn hear_out(client: &Socket) {
    client.set_read_bytes_max(CHUNK_BYTES);
    client.resume();
}

impl Listed for Pair {
    fn identity(&self) -> (u64, u32, usize) {
        (self.number, self.accepted_at, 0)
    }

    fn waits_for(&self) -> &'static str {
        match &*self.upstream.borrow() {
            Some(upstream) if upstream.needs_drain() => FOR_PEER,
            _ => FOR_INPUT,
        }
    }

    fn drain(self: Rc<Self>, client: &Socket) {
        self.end_if_drained(client);
    }

    /// While something waits for one of the two, the pipe pauses the other; as in Node, that one reads once
    /// more: a byte, as there is no less.
    fn limit_input(&self, client: &Socket) {
        let Some(upstream) = self.upstream.borrow().clone() else {
            return;
        };
        if self.ending.get() {
            return;
        }
        for (from, to) in [(client, &upstream), (&upstream, client)] {
            from.set_read_bytes_max(match to.writable_length() {
                0 => self.service.ahead_bytes_max(|| to.send_room()),
                _ => 1,
            });
        }
    }

    fn note_queue(&self, client: &Socket) {
        self.note_waiting(client, self.waiting(client));
    }
}

impl Watched for Pair {
    fn service(&self) -> &Rc<Service> {
        &self.service
    }

    fn with_watch<T>(&self, f: impl FnOnce(&mut Watch) -> T) -> T {
        f(&mut self.watch.borrow_mut())
    }

    fn with_queued<T>(&self, f: impl FnOnce(&mut Option<Queued>) -> T) -> T {
        f(&mut self.queued.borrow_mut())
    }

    fn give_up(&self, client: &Socket, why: Broken) {
        client.remote_addr(); // it is asked for while there is one, and remembered
        // There is no reset any more while an end is under way.
        let resets = why.cuts_peer_off() && !client.is_writable_ended();
        self.broken.replace(Some(why));
        self.give_place_back();
        if resets {
            reset(client);
        } else {
            client.destroy();
        }
    }
}
