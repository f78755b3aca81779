//! One client in the styles that poll: its conversation, its socket, and the timer of its
//! deadlines.

use crate::budget::OverBudget;
use crate::close_reason::CloseReason;
use crate::conversation::{Accepted, Conversation};
use crate::counters::Moved;
use crate::deadlines::{Deadlines, Expired};
use crate::reports::Traffic;
use crate::service::Service;
use oneloop::core::{Direction, Ready, Sleep};
use oneloop::net::{Chunk, ReadHalf, Shutdown, Socket};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// A client of an async task or a green thread.
#[derive(Debug)]
pub(crate) struct Client {
    /// Dropped before the socket: see [`Accepted`].
    pub(crate) conversation: Conversation,
    socket: Socket,
    /// `None` while no deadline applies, which is all the time without timeouts.
    timer: Option<Box<ClientTimer>>,
    /// Bytes that were read from the client.
    received: u64,
}

impl Client {
    pub(crate) fn new(accepted: Accepted) -> Self {
        let Accepted {
            conversation,
            socket,
        } = accepted;
        // The timer is boxed and optional: without timeouts, the whole of it costs a client one
        // word.
        let mut client = Client {
            conversation,
            socket,
            timer: None,
            received: 0,
        };
        client.follow_limits();
        client
    }

    /// Makes its deadlines once a timeout applies.
    fn follow_limits(&mut self) {
        if !self.service().limits().are_off() {
            self.deadlines();
        }
    }

    pub(crate) fn service(&self) -> &Rc<Service> {
        self.conversation.service()
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Bytes that were read from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Closes the socket; the conversation keeps its permit until it is dropped, too.
    pub(crate) fn into_conversation(self) -> Conversation {
        self.conversation
    }

    /// Reads at least one byte and at most `bytes_max`; `None` once the client has sent its last.
    #[inline]
    pub(crate) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        self.assume_input_if_draining();
        // A chunk comes from the thread's pool only when bytes are there, so an idle connection
        // holds no buffer. At least one byte is read: a read of 0 bytes would look like the end.
        let input = ready!(self.socket.poll_read_chunk(cx, bytes_max.max(1)))?;
        let received = input.as_ref().map_or(0, |input| input.len() as u64);
        self.received += received;
        self.service().counters.received.add(received);
        self.note_activity();
        Poll::Ready(Ok(input))
    }

    /// In a drain, the next read asks the kernel: what arrived before the drain is read even if the
    /// loop has not seen its edge yet.
    #[inline]
    pub(crate) fn assume_input_if_draining(&self) {
        if self.service().is_draining() {
            self.socket.source().assume_ready(Direction::Read);
        }
    }

    /// True if the server drains and no received byte is left to answer. A read has found nothing.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        let has_unread = || self.socket.source().is_ready(Direction::Read);
        self.conversation.is_drained(has_unread)
    }

    /// True once both directions are shut, though input may be left to read: a Unix client has
    /// closed, or a TCP client has ended after its peer (EPOLLHUP).
    pub(crate) fn is_hung_up(&self) -> bool {
        is_hung_up(&self.socket)
    }

    /// Shuts down the write side. From here on the client has a second to close.
    pub(crate) fn begin_lingering(&mut self) -> Result<(), CloseReason> {
        match self.socket.shutdown(Shutdown::Write) {
            // ENOTCONN: the client is gone already.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                self.conversation.close(); // close(2) sends the end, too
                return Err(error.into());
            }
            _ => {}
        }
        // Only now: had shutdown(2) failed, the connection would be closed instead.
        self.conversation.begin_lingering();
        let now = self.service().handle.now();
        self.deadlines().note_lingering(now);
        Ok(())
    }

    /// Reads and drops input. Ready once the client has sent its last.
    pub(crate) fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Chunk by chunk, within the task's I/O budget (rule 15): a flood cannot hold the loop,
        // and LINGER ends it.
        while ready!(self.poll_input(cx, usize::MAX))?.is_some() {}
        self.conversation.client_ended();
        Poll::Ready(Ok(()))
    }

    /// Notes that the client hung up: its peer has
    /// [`HANG_UP_GRACE`](crate::deadlines::HANG_UP_GRACE) to take the rest of the input, and to
    /// end.
    pub(crate) fn note_hang_up(&mut self) {
        self.deadlines().note_hang_up();
    }

    /// True if a deadline may apply, so that notes are worth their time.
    #[inline]
    pub(crate) fn may_expire(&self) -> bool {
        self.timer.is_some()
    }

    /// Notes that bytes were received or sent.
    #[inline]
    pub(crate) fn note_activity(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer
                .deadlines
                .note_activity(self.conversation.service().handle.now());
        }
    }

    /// Notes whether output `waits`, and whether the client has `taken` any just now.
    pub(crate) fn note_output(&mut self, waits: bool, taken: bool) {
        if let Some(timer) = &mut self.timer {
            let now = self.conversation.service().handle.now();
            timer.deadlines.note_output(now, waits, taken);
        }
    }

    /// Logs and counts how the connection ended. Its close is a reset if that has cut off the
    /// client, which must not take what it received for the whole.
    pub(crate) fn finish(&mut self, end: &Result<(), CloseReason>, moved: Moved) {
        // Before the socket is closed: getpeername(2) needs it open.
        let peer = || self.socket.peer_addr().ok();
        self.conversation.end(end, moved, peer);
        let is_cut = end.as_ref().is_err_and(CloseReason::cuts_off);
        if is_cut && !self.conversation.has_sent_all() {
            self.reset_on_close();
        }
    }

    /// Makes the close a reset. (A Unix socket has none: its client sees an end.)
    pub(crate) fn reset_on_close(&self) {
        let _ = self.socket.reset_on_close(); // a sandbox may forbid it
    }

    fn deadlines(&mut self) -> &mut Deadlines {
        let service = self.conversation.service();
        let new = || Box::new(ClientTimer::new(service));
        &mut self.timer.get_or_insert_with(new).deadlines
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        match &mut self.timer {
            None => Poll::Pending,
            Some(timer) => timer.poll_expired(cx, self.conversation.service()),
        }
    }
}

/// Waits until a client that is not read has gone: it has reset the connection, or closed it with
/// nothing left to read. Only for a Unix client does the kernel report a close without a read.
pub(crate) fn poll_gone(client: &Socket, cx: &mut Context<'_>) -> Poll<io::Error> {
    // For TCP a FIN may be a half-close, after which the client still wants its answer, so only a
    // reset counts. A Unix socket that is closed reports HUP, and if nothing is unread, no byte
    // can come any more.
    let reset = client.poll_reset(cx);
    if reset.is_pending() && is_hung_up(client) && matches!(client.unread_bytes(), Ok(0)) {
        return Poll::Ready(io::ErrorKind::BrokenPipe.into());
    }
    reset
}

fn is_hung_up(client: &Socket) -> bool {
    client.source().ready().contains(Ready::HANG_UP)
}

/// A client's deadlines with the loop's timer for the first of them.
#[derive(Debug)]
struct ClientTimer {
    deadlines: Deadlines,
    /// When the timer fires, which may be before the first deadline.
    timer: Option<(Instant, Sleep)>,
}

impl ClientTimer {
    fn new(service: &Service) -> Self {
        ClientTimer {
            deadlines: Deadlines::new(service.handle.now()),
            timer: None,
        }
    }

    /// Ready once a deadline has passed.
    fn poll_expired(&mut self, cx: &mut Context<'_>, service: &Service) -> Poll<Expired> {
        loop {
            let Some((deadline, why)) = self.deadlines.next(service.limits()) else {
                return Poll::Pending;
            };
            // A timer that fires earlier stays: it is not moved for every message, but finds the
            // new deadline when it fires.
            if self.timer.as_ref().is_none_or(|(at, _)| *at > deadline) {
                self.timer = Some((deadline, service.handle.sleep_until(deadline)));
            }
            let Some((at, sleep)) = &mut self.timer else {
                return Poll::Pending;
            };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired_at = *at;
            self.timer = None;
            if fired_at >= deadline {
                return Poll::Ready(why);
            }
        }
    }
}

/// A client together with what it is served.
pub(crate) trait Served: Sized {
    fn client(&mut self) -> &mut Client;

    /// Sends what waits for the client although no edge has reported room. True if the client has
    /// taken something.
    fn try_to_send(&mut self, cx: &mut Context<'_>) -> bool;

    /// Reports to the budget how many bytes wait for the client.
    ///
    /// # Errors
    /// The client is over the budget.
    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), OverBudget>;

    /// The bytes that were received and sent.
    fn moved(&self) -> Moved;

    /// What a report says of the client.
    fn traffic(&mut self) -> Traffic;

    /// Logs and counts how the connection ended.
    fn finish(&mut self, end: &Result<(), CloseReason>) {
        let moved = self.moved();
        self.client().finish(end, moved);
    }

    /// Follows a reload, or reports.
    #[cold]
    fn answer_notice(&mut self) {
        let traffic = self.traffic();
        let client = self.client();
        client.follow_limits();
        client.note_output(traffic.queued > 0, false);
        if !client.service().reports.is_collecting() {
            return;
        }
        let peer = client.socket.peer_addr().ok();
        client.conversation.report(peer, traffic);
    }

    /// Polls an operation that must complete before the client's deadlines.
    #[inline]
    fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, CloseReason>>,
    ) -> Poll<Result<T, CloseReason>> {
        loop {
            // The operation first: if it completes in the same turn as the timeout passes, it has
            // won.
            let polled = poll(self, cx);
            if polled.is_ready() {
                return polled;
            }
            if self.client().conversation.is_notified() {
                self.answer_notice();
                if self.client().conversation.obey()? {
                    continue;
                }
            }
            // Only here, when the poll has ended with bytes that wait: output that the kernel
            // takes at once never touches the budget's lock.
            self.note_queue(cx)?;
            let expired = ready!(self.client().poll_expired(cx));
            // A client that takes a little at a time makes room long before the kernel reports it
            // (at a third of the buffer), so the verdict waits for one more try.
            let is_gone = matches!(expired, Expired::Linger | Expired::HangUp);
            if is_gone || !self.try_to_send(cx) {
                return Poll::Ready(Err(expired.into()));
            }
        }
    }
}
