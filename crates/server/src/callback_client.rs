//! What all clients in the callback style share: the deadlines of their output, their share of the
//! budget, and how they end.

use crate::budget::BudgetShare;
use crate::clients::{ClientEntry, ListedClient};
use crate::close_reason::CloseReason;
use crate::conversation::Conversation;
use crate::counters::Moved;
use crate::deadlines::{Deadlines, Expired, Limits};
use crate::reports::{FOR_CLIENT, Traffic};
use crate::service::Service;
use oneloop::callback::net::{Socket, SocketOptions};
use oneloop::callback::{Timeout, clear_timeout, set_timeout};
use oneloop::core::Key;
use oneloop::net::{CHUNK_BYTES, Socket as NetSocket};
use std::cell::RefMut;
use std::mem;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Full reads of one client in one turn: the share of I/O that a task has in the async style.
const READS_PER_TURN: u32 = 2;

/// What a client needs only while output waits, or when it ends early. Most clients never do.
#[derive(Default)]
pub(crate) struct Extras {
    /// Wakes the task that sends what other members of a chat said.
    pub(crate) mail: Option<Waker>,
    /// The client's share of the budget, while bytes wait.
    share: Option<BudgetShare>,
    pub(crate) close_reason: Option<CloseReason>,
    deadlines: Option<Box<Deadlines>>,
    /// Fires at the first deadline.
    timer: Option<Timeout>,
    /// Bytes that the kernel had taken at the last look.
    taken: u64,
    /// Bytes that waited when the bytes sent were last counted.
    uncounted: usize,
}

impl Extras {
    /// Bytes that waited when the bytes sent were last counted.
    pub(crate) fn uncounted(&self) -> usize {
        self.uncounted
    }

    /// True while bytes wait for the client.
    pub(crate) fn has_share(&self) -> bool {
        self.share.is_some()
    }
}

/// A client in the callback style. Methods that take the socket are called by its handlers, which
/// are given it: a client that held its own socket would keep itself alive.
pub(crate) trait CallbackClient: ListedClient + 'static {
    /// The conversation. The borrow lasts for a line that runs no handler.
    fn conversation(&self) -> RefMut<'_, Conversation>;

    /// The extras, which are made if there are none yet. The same holds for this borrow.
    fn extras(&self) -> RefMut<'_, Extras>;

    /// Bytes that waited when the bytes sent were last counted.
    fn uncounted(&self) -> usize;

    fn service(&self) -> Rc<Service> {
        Rc::clone(self.conversation().service())
    }

    /// Returns the permit, before the client can see the end: it may connect again at once.
    fn release_permit(&self) {
        self.conversation().release_permit();
    }

    /// True if the server drains, and nothing that was received is left to answer.
    fn is_drained(&self, socket: &Socket) -> bool {
        let has_unread = || socket.readable_length() > 0 || socket.unread_bytes() > 0;
        self.conversation().is_drained(has_unread)
    }

    /// Reports to the budget that `bytes` wait for the client, and closes it if it is over the
    /// budget.
    fn note_share(&self, socket: &Socket, bytes: usize) {
        let service = self.service();
        // One waker for all clients of the loop. In the other styles each client has its own task
        // to wake.
        let shedder = service.shedder.borrow().clone();
        // Taken out meanwhile: the budget wakes other tasks, and `close_early` borrows the extras
        // again.
        let mut share = self.extras().share.take();
        // The share is kept in the extras although the budget may reject it: its drop returns it.
        let noted = service.server.budget.note(&mut share, bytes, &shedder);
        self.extras().share = share;
        if let Err(over) = noted {
            self.close_early(socket, over.into());
        }
    }

    /// Counts what the kernel has taken since the last call, of what waited then and of `written`
    /// bytes that were written since.
    fn count_sent(&self, socket: &Socket, written: usize) {
        let waits = socket.writable_length();
        let before = mem::replace(&mut self.extras().uncounted, waits);
        let sent = (before + written).saturating_sub(waits);
        self.service().counters.sent.add(sent as u64);
    }

    /// The bytes that were received and sent, up to the last count.
    fn moved(&self, socket: &Socket) -> Moved {
        Moved {
            received: socket.bytes_read(),
            // An end drops what waits, so the socket cannot tell any more.
            sent: socket
                .bytes_written()
                .saturating_sub(self.uncounted() as u64),
        }
    }

    /// Closes the client if the drain is over. Returns true if it is.
    fn close_if_cut_off(&self, socket: &Socket) -> bool {
        let is_cut_off = self.service().is_cut_off();
        if is_cut_off && !socket.is_destroyed() {
            self.close_early(socket, CloseReason::CutOff);
            // The loop may end before 'close' is emitted.
            let moved = self.moved(socket);
            self.conversation().count_drop(Some(moved));
        }
        is_cut_off
    }

    /// Starts the write timeout: output waits.
    fn watch_output(self: &Rc<Self>, socket: &Socket) {
        // An armed timer stays, though the output has moved on since: it finds that out when it
        // fires.
        let is_off = self.service().limits().write.is_none();
        if !is_off && self.extras().timer.is_none() {
            self.look(socket);
        }
    }

    /// Gives the client a second to close, now that the server has shut down its side.
    fn linger(self: &Rc<Self>, socket: &Socket) {
        // A timer for the write timeout may be armed for later than LINGER.
        self.stop_timer();
        let now = self.service().handle.now();
        with_deadlines(&**self, now, |deadlines, _| deadlines.note_lingering(now));
        self.look(socket);
    }

    /// Closes the client if a deadline has passed, and otherwise looks again at the next one.
    fn look(self: &Rc<Self>, socket: &Socket) {
        if socket.is_destroyed() {
            return;
        }
        let now = self.service().handle.now();
        let Some((mut deadline, why)) = self.next_deadline(socket, now, false) else {
            return;
        };
        // Node's timers have whole milliseconds, so a timer may fire before its deadline; then it
        // is set again.
        if deadline <= now {
            // A client that takes a little at a time makes room long before the kernel reports it.
            if why != Expired::Write || !socket.retry_write() {
                return self.close_early(socket, why.into());
            }
            match self.next_deadline(socket, now, true) {
                Some((next, _)) => deadline = next,
                None => return,
            }
        }
        let (client, looked_at) = (Rc::clone(self), socket.clone());
        let look = move || {
            client.extras().timer = None;
            client.look(&looked_at);
        };
        let timer = set_timeout(look, to_ms(deadline.saturating_duration_since(now)));
        self.extras().timer = Some(timer);
    }

    /// Notes how the output proceeds; returns the first deadline.
    fn next_deadline(
        &self,
        socket: &Socket,
        now: Instant,
        has_retried: bool,
    ) -> Option<(Instant, Expired)> {
        let (waits, taken) = (socket.writable_length() > 0, taken(socket));
        // The idle timeout is Node's `setTimeout` of the socket.
        let write = self.service().limits().write;
        let limits = Limits { idle: None, write };
        with_deadlines(self, now, |deadlines, taken_before| {
            let has_taken = has_retried || taken > *taken_before;
            *taken_before = taken;
            deadlines.note_output(now, waits, has_taken);
            deadlines.next(limits)
        })
    }

    fn stop_timer(&self) {
        let timer = self.extras().timer.take();
        if let Some(timer) = timer {
            clear_timeout(timer);
        }
    }

    /// Closes the connection before both sides have sent everything, with a reset if that cuts off
    /// the client: it must not take what it received for the whole.
    fn close_early(&self, socket: &Socket, why: CloseReason) {
        socket.remote_addr(); // read while there is one: the socket remembers it for the log
        self.release_permit();
        if socket.writable_length() > 0 {
            self.count_sent(socket, 0);
        }
        // While an `end()` is under way, no reset is possible any more.
        let is_cut = why.cuts_off() || socket.writable_length() > 0;
        let resets = is_cut && !socket.is_writable_ended();
        self.extras().close_reason = Some(why);
        if resets {
            reset(socket);
        } else {
            socket.destroy();
        }
    }

    /// Ends the client's life: 'close' was emitted.
    fn finish(&self, socket: &Socket, key: Key<ClientEntry>, end: &Result<(), CloseReason>) {
        self.service().clients.remove(key);
        self.conversation().close();
        let moved = self.moved(socket);
        self.conversation().end(end, moved, || socket.remote_addr());
        self.release_permit();
    }

    /// Obeys an order, if it is for this client. Calls `pause` with whether nothing is to be read
    /// from here on, if that changes.
    fn obey_order(&self, socket: &Socket, pause: impl FnOnce(bool)) {
        let obeyed = self.conversation().obey();
        match obeyed {
            Err(why) if !socket.is_destroyed() => self.close_early(socket, why),
            Err(_) | Ok(false) => {}
            Ok(true) => {
                let is_paused = self.conversation().is_paused();
                pause(is_paused);
            }
        }
    }

    /// Adds the client's line to the round of reports. `elsewhere` bytes wait outside of the
    /// socket.
    fn report_traffic(&self, socket: &Socket, elsewhere: usize, waits: &'static str) {
        // `bytes_written` counts what the handler has written, as in Node, so the queue is
        // subtracted.
        let buffered = socket.writable_length();
        let traffic = Traffic {
            moved: Moved {
                received: socket.bytes_read(),
                sent: taken(socket),
            },
            queued: buffered + elsewhere,
            waits: if socket.needs_drain() {
                FOR_CLIENT
            } else {
                waits
            },
        };
        self.conversation().report(socket.connected_to(), traffic);
    }
}

/// Calls a function with the client's deadlines, and with the bytes taken at the last look.
fn with_deadlines<C, T>(
    client: &C,
    now: Instant,
    f: impl FnOnce(&mut Deadlines, &mut u64) -> T,
) -> T
where
    C: CallbackClient + ?Sized,
{
    let new = || Box::new(Deadlines::new(now));
    let Extras {
        deadlines, taken, ..
    } = &mut *client.extras();
    f(deadlines.get_or_insert_with(new), taken)
}

/// A callback socket over an accepted or connected one. Its writable side stays open when the
/// client ends: when the server ends is decided by the conversation.
pub(crate) fn socket(connected: NetSocket) -> Socket {
    let options = SocketOptions {
        allow_half_open: true,
        // So 'drain' means that nothing waits any more; how much may wait is the conversation's to
        // say.
        high_water_mark: 1,
        ..SocketOptions::default()
    };
    let socket = Socket::from_connected(connected, options);
    // libuv reads a socket up to 32 times in a row. That is Node's order, but it would let one
    // flood delay all other clients.
    socket.set_reads_per_turn_max(READS_PER_TURN);
    socket
}

/// Reads on to the end of the input, which is dropped.
pub(crate) fn read_to_end(socket: &Socket) {
    // A limit of 1 byte may be in force, and the pause of a pipe: dropped input needs neither.
    socket.set_read_bytes_max(CHUNK_BYTES);
    socket.resume();
}

/// Closes with a reset; a Unix socket has none, and is closed without.
pub(crate) fn reset(socket: &Socket) {
    if socket.reset_and_destroy().is_err() {
        socket.destroy();
    }
}

/// Bytes that the kernel has taken for a socket's peer.
pub(crate) fn taken(socket: &Socket) -> u64 {
    socket.bytes_written() - socket.writable_length() as u64
}

/// Sets a socket's idle timeout, which was `before`.
pub(crate) fn set_idle_timeout(socket: &Socket, before: Option<Duration>, idle: Option<Duration>) {
    // As in Node, 0 stops it.
    let ms = idle.map(to_ms).or_else(|| before.map(|_| 0.0));
    if let Some(ms) = ms {
        socket.set_timeout(ms);
    }
}

/// A duration for Node's timers, which may fire up to a millisecond early.
pub(crate) fn to_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3 + 1.0
}
