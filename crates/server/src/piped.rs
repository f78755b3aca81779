//! One client that is connected to an upstream, written with callbacks: Node's
//! `client.pipe(upstream)` and `upstream.pipe(client)`, with the server's limits and its drain
//! around them.
//!
//! As in Node, a socket that fails is gone with everything that was not read from it: an upstream
//! that closes before it has taken all input is not read to its end, as it is in the other styles.
//!
//! ```text
//!   connect ──▶ client ⇄ upstream ──upstream ends, then the client────────────▶ closed
//!      │           ├─ the client ends first: the pipe passes that on (Flushing) ──▲
//!      │           └─ drained: unpiped, the upstream sees the end (Ending)        │
//!      └─no upstream──▶ shut down ◀──────upstream ends──┘                         │
//!                           └──▶ Lingering ──the client ends, or LINGER passed────┘
//! ```

use crate::callback_client::{
    self, CallbackClient, Extras, read_to_end, reset, set_idle_timeout, taken, to_ms,
};
use crate::client::poll_gone;
use crate::clients::{ClientEntry, ListedClient};
use crate::close_reason::CloseReason;
use crate::conversation::{Accepted, Conversation};
use crate::counters::Moved;
use crate::deadlines::{Expired, HANG_UP_GRACE, Limits};
use crate::reports::{FOR_CONNECTION, FOR_INPUT, FOR_PEER, Traffic};
use crate::upstream::Upstream;
use oneloop::callback::net::{Error, Socket, event};
use oneloop::callback::{Timeout, clear_timeout, set_timeout};
use oneloop::core::Key;
use oneloop::net::Socket as NetSocket;
use std::cell::{Cell, RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What the handlers of both sockets share. Each handler is given its own socket.
struct Pair {
    conversation: RefCell<Conversation>,
    /// `None` without an upstream, and once one of the two has failed.
    upstream: RefCell<Option<Socket>>,
    extras: RefCell<Extras>,
    /// Checks whether the client has hung up while the upstream takes nothing.
    hang_up_timer: Cell<Option<Timeout>>,
}

/// Serves a client.
pub(crate) fn serve(mut accepted: Accepted, upstream: Arc<Upstream>) {
    let service = Rc::clone(accepted.conversation.service());
    // Connecting is a future here, as Node's net.connect has neither several targets in turn nor
    // the server's timeout.
    service.handle.clone().spawn_detached(async move {
        match connect(&mut accepted, &upstream).await {
            Ok(connected) => {
                let note = |error| accepted.conversation.note_no_peer(error);
                let connected = connected.map_err(note).ok();
                wire(accepted, connected);
            }
            Err(end) => {
                let _ = accepted.socket.reset_on_close(); // no answer must not look like an empty one
                let moved = Moved::default();
                accepted.conversation.end(&Err(end), moved, || None);
            }
        }
    });
}

/// Connects for a client that may go meanwhile.
///
/// # Errors
/// The client has gone, or the drain is over.
async fn connect(
    accepted: &mut Accepted,
    upstream: &Upstream,
) -> Result<io::Result<NetSocket>, CloseReason> {
    let service = Rc::clone(accepted.conversation.service());
    let header = upstream.header(|| accepted.conversation.addrs(&accepted.socket));
    let mut connect = pin!(upstream.connect(&service.handle, &header));
    poll_fn(|cx| match connect.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(Ok(connected)),
        Poll::Pending if service.is_cut_off() => Poll::Ready(Err(CloseReason::CutOff)),
        // There is no callback socket yet, so the report of SIGUSR1 must be answered by hand.
        Poll::Pending => {
            if accepted.conversation.is_notified() && service.reports.is_collecting() {
                report_connecting(accepted);
                if let Err(why) = accepted.conversation.obey() {
                    return Poll::Ready(Err(why));
                }
            }
            poll_gone(&accepted.socket, cx).map(|gone| Err(gone.into()))
        }
    })
    .await
}

/// Reports a client that has no upstream yet.
fn report_connecting(accepted: &Accepted) {
    let traffic = Traffic {
        moved: Moved::default(),
        queued: 0,
        waits: FOR_CONNECTION,
    };
    let peer = accepted.socket.peer_addr().ok();
    accepted.conversation.report(peer, traffic);
}

/// Connects the two sockets to each other.
fn wire(accepted: Accepted, upstream: Option<NetSocket>) {
    let Accepted {
        conversation,
        socket,
    } = accepted;
    let service = Rc::clone(conversation.service());
    let socket_of = |connected| {
        let socket = callback_client::socket(connected);
        socket.set_read_bytes_max(service.ahead_bytes_max(|| 0));
        socket
    };
    let (client, upstream) = (socket_of(socket), upstream.map(socket_of));
    let pair = Rc::new(Pair {
        conversation: RefCell::new(conversation),
        upstream: RefCell::new(upstream.clone()),
        extras: RefCell::default(),
        hang_up_timer: Cell::new(None),
    });
    let key = service.clients.add(Rc::clone(&pair) as _, &client);
    pair.listen(&client, key);
    match upstream {
        Some(upstream) => {
            // Before the pipes: the pipe's own handler of 'end' ends the client.
            pair.listen_upstream(&client, &upstream);
            // A reset is found even after one side's end, while only the other side has data to
            // send.
            client.watch_resets();
            upstream.watch_resets();
            client.pipe(&upstream);
            upstream.pipe(&client);
            pair.listen_behind_pipes(&client, &upstream);
            // The drain may have begun while the upstream was connecting.
            pair.end_if_drained(&client);
        }
        None => pair.shut_down(&client),
    }
}

impl Pair {
    fn listen(self: &Rc<Self>, client: &Socket, key: Key<ClientEntry>) {
        let pair = Rc::clone(self);
        client.on_end(move |client| pair.on_end(&client));
        let pair = Rc::clone(self);
        client.on_error(move |_, error| pair.on_error(error));
        let pair = Rc::clone(self);
        client.on_close(move |client, _| pair.on_close(&client, key));
        self.limit_idle_time(client, None);
    }

    /// Starts, changes or stops the idle timeouts, which were `before`.
    fn limit_idle_time(self: &Rc<Self>, client: &Socket, before: Option<Duration>) {
        let idle = self.service().limits().idle;
        let upstream = self.upstream.borrow().clone();
        if before.is_none() && idle.is_some() {
            let pair = Rc::clone(self);
            client.on_timeout(move |client| pair.close_early(&client, Expired::Idle.into()));
            if let Some(upstream) = &upstream {
                // It may still have input to take when the client is gone.
                upstream.on_timeout(|upstream| {
                    if upstream.is_readable_ended() {
                        upstream.destroy();
                    }
                });
            }
        }
        set_idle_timeout(client, before, idle);
        if let Some(upstream) = &upstream {
            set_idle_timeout(upstream, before, idle);
        }
    }

    fn listen_upstream(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_end(move |_| pair.on_upstream_end(&to));
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_error(move |upstream, error| pair.on_upstream_error(&upstream, &to, error));
    }

    /// Handlers that look at what the pipes have done, and so come behind theirs.
    fn listen_behind_pipes(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        let pair = Rc::clone(self);
        client.on_data(move |client, input| {
            pair.service().counters.received.add(input.len() as u64);
            pair.on_moved(&client);
            pair.end_if_drained(&client);
        });
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_data(move |_, output| {
            pair.count_sent(&to, output.len());
            if to.writable_length() > 0 {
                pair.watch_output(&to);
            }
            pair.on_moved(&to);
        });
        let pair = Rc::clone(self);
        client.on_drain(move |client| {
            pair.count_sent(&client, 0);
            pair.on_moved(&client);
        });
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_drain(move |_| pair.on_moved(&to));
        let (pair, to) = (Rc::clone(self), upstream.clone());
        client.on(event::Pause, move |client| {
            pair.watch_hang_up(&client, &to);
        });
        let (pair, to) = (Rc::clone(self), client.clone());
        upstream.on_close(move |_, _| {
            if !pair.conversation().is_open() {
                read_to_end(&to); // the pipe has paused the client, and its end would not be seen
            }
        });
    }

    /// Closes a client that hung up while the upstream takes nothing. The pipe pauses the client
    /// only then; a timer that runs out now and then costs less than a check at each pause.
    fn watch_hang_up(self: &Rc<Self>, client: &Socket, upstream: &Socket) {
        // A Cell has no look without a take, and a timer is armed at most once.
        let timer = self.hang_up_timer.take();
        if timer.is_some() {
            return self.hang_up_timer.set(timer);
        }
        let before = taken(upstream);
        let (pair, client, upstream) = (Rc::clone(self), client.clone(), upstream.clone());
        let look = move || {
            pair.hang_up_timer.set(None);
            if client.is_destroyed() || !client.is_paused() {
                return;
            }
            if client.is_hung_up() && taken(&upstream) == before {
                pair.close_early(&client, Expired::HangUp.into());
            } else {
                pair.watch_hang_up(&client, &upstream);
            }
        };
        let timer = set_timeout(look, to_ms(HANG_UP_GRACE));
        self.hang_up_timer.set(Some(timer));
    }

    /// Bytes were passed on, or wait for that.
    fn on_moved(&self, client: &Socket) {
        // Also when the queue has just become empty: the share must be returned then.
        let waits = self.extras.borrow().has_share() || self.queued(client) > 0;
        if waits {
            self.note_queue(client);
        }
        let service = self.service();
        let is_scarce = service.clients.check_memory(&service.server.budget);
        if waits || is_scarce {
            self.limit_input(client);
        }
    }

    /// How many bytes wait for the two.
    fn queued(&self, client: &Socket) -> usize {
        let upstream = self.upstream.borrow();
        let for_upstream = upstream.as_ref().map_or(0, Socket::writable_length);
        client.writable_length() + for_upstream
    }

    /// The client has sent its last byte, which the pipe tells the upstream.
    fn on_end(&self, client: &Socket) {
        self.conversation().client_ended();
        if client.is_writable_ended() {
            self.release_permit();
        }
    }

    /// The upstream has sent its last byte.
    fn on_upstream_end(self: &Rc<Self>, client: &Socket) {
        if client.is_readable_ended() {
            self.release_permit();
        } else if !self.conversation().is_open() {
            self.shut_down(client);
        }
    }

    /// Shuts down the write side, and lets the client close.
    fn shut_down(self: &Rc<Self>, client: &Socket) {
        self.conversation().begin_lingering();
        read_to_end(client);
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

    /// In a drain, the upstream sees the end of the input once everything that was received is
    /// passed on, and has the rest of `--drain` to answer.
    fn end_if_drained(&self, client: &Socket) {
        if !self.is_drained(client) {
            return;
        }
        self.conversation().end_input();
        let upstream = self.upstream.borrow().clone();
        if let Some(upstream) = upstream {
            // Unpiped first: what the client still sends would otherwise be written after the
            // upstream's end, which is an error in Node.
            client.unpipe(&upstream);
            read_to_end(client);
            upstream.end();
        }
    }

    fn on_error(&self, error: &Error) {
        self.extras().close_reason = Some(CloseReason::Io(error.clone().into()));
        if let Some(upstream) = self.upstream.take() {
            reset(&upstream); // a plain close would look like the client's end
        }
    }

    fn on_upstream_error(self: &Rc<Self>, upstream: &Socket, client: &Socket, error: &Error) {
        if upstream.is_readable_ended() {
            return self.shut_down(client); // it has sent everything, and does not want the rest
        }
        self.extras().close_reason = Some(CloseReason::Peer(error.clone().into()));
        self.release_permit();
        reset(client);
    }

    fn on_close(&self, client: &Socket, key: Key<ClientEntry>) {
        self.stop_timer();
        self.note_share(client, 0);
        if let Some(timer) = self.hang_up_timer.take() {
            clear_timeout(timer);
        }
        // The upstream is kept if it may still have something to take and has ended itself: it
        // closes once it has.
        let close_reason = self.extras().close_reason.take();
        let end = close_reason.map_or(Ok(()), Err);
        if let Some(upstream) = self.upstream.take() {
            if end.as_ref().is_err_and(CloseReason::cuts_off) {
                reset(&upstream); // a plain close would look like the client's end
            } else if end.is_err() || !upstream.is_readable_ended() {
                upstream.destroy(); // what it still sends has no receiver
            }
        }
        self.finish(client, key, &end);
    }
}

impl ListedClient for Pair {
    fn drain(self: Rc<Self>, client: &Socket) {
        if !self.close_if_cut_off(client) {
            self.end_if_drained(client);
        }
    }

    /// While bytes wait for one side, the pipe pauses the other one. As in Node, that reads once
    /// more: a single byte then.
    fn limit_input(&self, client: &Socket) {
        let Some(upstream) = self.upstream.borrow().clone() else {
            return;
        };
        if !self.conversation().is_open() {
            return;
        }
        let service = self.service();
        for (from, to) in [(client, &upstream), (&upstream, client)] {
            from.set_read_bytes_max(match to.writable_length() {
                0 => service.ahead_bytes_max(|| to.send_room()),
                _ => 1,
            });
        }
    }

    fn note_queue(&self, client: &Socket) {
        self.note_share(client, self.queued(client));
    }

    fn follow_settings(self: Rc<Self>, client: &Socket, before: Limits) {
        self.limit_idle_time(client, before.idle);
        if client.writable_length() > 0 {
            self.watch_output(client);
        }
        self.limit_input(client);
    }

    fn obey(self: Rc<Self>, client: &Socket) {
        self.obey_order(client, |pauses| {
            let upstream = self.upstream.borrow().clone();
            for socket in [Some(client.clone()), upstream].into_iter().flatten() {
                match pauses {
                    true => socket.pause(),
                    false => socket.resume(),
                };
            }
        });
    }

    fn report(&self, client: &Socket) {
        let waits = match &*self.upstream.borrow() {
            Some(upstream) if upstream.needs_drain() => FOR_PEER,
            _ => FOR_INPUT,
        };
        self.report_traffic(client, 0, waits);
    }
}

impl CallbackClient for Pair {
    fn conversation(&self) -> RefMut<'_, Conversation> {
        self.conversation.borrow_mut()
    }

    fn uncounted(&self) -> usize {
        self.extras.borrow().uncounted()
    }

    fn extras(&self) -> RefMut<'_, Extras> {
        self.extras.borrow_mut()
    }
}
