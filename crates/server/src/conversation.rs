//! One client's conversation as a state machine without I/O, which every style drives.
//!
//! A driver owns the socket. It reports what happened (`client_ended`, `end_input`), asks for the
//! next [`Step`], and carries that out with its style's reads and writes: `connection` and
//! `relayed` poll, for async tasks and green threads; `callbacks` and `piped` call.

use crate::chat::Evicted;
use crate::close_reason::{self, CloseReason, End};
use crate::counters::Moved;
use crate::introduction::Introduction;
use crate::mode::Mode;
use crate::reports::{ClientReport, Order, Traffic};
use crate::server::Lifecycle;
use crate::service::Service;
use oneloop::net::{Addr, Socket};
use std::io;
use std::rc::Rc;
use std::task::Context;

/// How far a conversation is.
///
/// ```text
///          the client ended                 all output is sent
///   Open ───────────────────▶ Flushing ────────────────────────────────────────────▶ Closed
///     │                                                                                 ▲
///     │ no more input: drained,          all output is sent,            the client ended,
///     │ or the mode closes first         write side shut down           or LINGER passed
///     └─────────────────────▶ Ending ─────────────────────▶ Lingering ──────────────────┘
/// ```
///
/// A socket error, a timeout, a full queue or the budget closes the connection from any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversationState {
    /// Input is read and answered.
    Open,
    /// As `Open`, but nothing is read until an operator resumes the client, or a drain begins.
    Paused,
    /// The client has sent its last byte; the output that waits is sent.
    Flushing,
    /// The server reads no more; the output that waits is sent.
    Ending,
    /// Everything is sent, and the client can see the server's end. Its input is read and dropped
    /// until it closes, too: close(2) with unread input resets a TCP connection, and the reset
    /// destroys output that the client has not read yet (RFC 1122, 4.2.2.13).
    Lingering,
    Closed,
}

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send output if `sends`; read input, and send its answer.
    Exchange { sends: bool },
    /// Send output. Nothing is read: what comes now would not be answered.
    Send,
    /// Wait for output: other members of the chat may still speak.
    Listen,
    /// Shut down the write side. The conversation lingers from here on.
    ShutDown,
    /// Read and drop input.
    Linger,
    /// Close the connection.
    Close,
}

/// One client's conversation: what every style and every mode keeps of it.
#[derive(Debug)]
pub(crate) struct Conversation {
    service: Rc<Service>,
    /// Counts the server's clients from 1.
    number: u64,
    /// In tenths of a second of the server's life.
    accepted_at: u32,
    /// The last notice that the client has answered.
    answered: u32,
    state: ConversationState,
    /// The connection counts against `--max-conns`.
    has_permit: bool,
    /// Its begin is counted, and its end is not.
    is_counted: bool,
    /// There was no upstream or program for it.
    has_no_peer: bool,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Dropped first: its permit must be free when the client sees the end, as it may connect again
    /// at once.
    pub(crate) conversation: Conversation,
    pub(crate) socket: Socket,
}

impl Conversation {
    /// A conversation whose permit is taken.
    pub(crate) fn new(service: &Rc<Service>, number: u64) -> Self {
        Conversation {
            number,
            accepted_at: service.server.age(),
            answered: service.reports.last_notice(),
            state: ConversationState::Open,
            has_permit: true,
            is_counted: false,
            has_no_peer: false,
            service: Rc::clone(service),
        }
    }

    pub(crate) fn service(&self) -> &Rc<Service> {
        &self.service
    }

    /// Which of the server's clients this is, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.state == ConversationState::Open
    }

    /// The client has sent its last byte. True if it was the first to end: then only what waits for
    /// it now is sent.
    pub(crate) fn client_ended(&mut self) -> bool {
        let was_open = self.is_open();
        // A table of all states, not a chain of ifs: every pair of state and event has been
        // thought of.
        self.state = match self.state {
            ConversationState::Open => ConversationState::Flushing,
            ConversationState::Ending => ConversationState::Ending, // others may still speak to it
            ConversationState::Lingering => ConversationState::Closed,
            ended => ended,
        };
        was_open
    }

    /// The server reads no more input. True if the conversation was open.
    pub(crate) fn end_input(&mut self) -> bool {
        let was_open = self.is_open();
        if was_open {
            self.state = ConversationState::Ending;
        }
        was_open
    }

    /// True once the client has been sent everything but the end.
    pub(crate) fn has_sent_all(&self) -> bool {
        matches!(
            self.state,
            ConversationState::Lingering | ConversationState::Closed
        )
    }

    /// The server's side is shut down.
    pub(crate) fn begin_lingering(&mut self) {
        self.state = ConversationState::Lingering;
    }

    pub(crate) fn close(&mut self) {
        self.state = ConversationState::Closed;
    }

    /// True if the server drains, and the client has sent nothing that could still be answered. A
    /// drain asks the kernel for `has_unread` bytes, as the edge that reports them may be on its
    /// way.
    #[inline]
    pub(crate) fn is_drained(&self, has_unread: impl FnOnce() -> bool) -> bool {
        // Cheapest test first: this runs after each read, and the last one may be a system call.
        self.service.is_draining() && self.is_open() && !has_unread()
    }

    /// What the driver does next, with `queued` bytes of output in its hands. The waker in `cx` is
    /// woken when another member of the chat speaks, and when this client is evicted.
    ///
    /// # Errors
    /// The chat has evicted the client.
    #[inline]
    pub(crate) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        mode: &mut Mode,
        queued: usize,
    ) -> Result<Step, Evicted> {
        // Two of these for each echoed message, so the common case is inlined: without it, a
        // message costs some sixty instructions more.
        if self.is_open() && mode.only_answers() {
            let sends = queued > 0;
            return Ok(Step::Exchange { sends });
        }
        self.poll_other_step(cx, mode, queued)
    }

    fn poll_other_step(
        &mut self,
        cx: &mut Context<'_>,
        mode: &mut Mode,
        queued: usize,
    ) -> Result<Step, Evicted> {
        // The mode has nothing to say to a client that has the server's end.
        if self.state == ConversationState::Lingering {
            return Ok(Step::Linger);
        }
        self.resume_in_drain();
        // Asked before the look at the output: what is said in between wakes the task again, while
        // the other order would miss the last words of the last speaker.
        let more_may_come = !self.is_open() && mode.may_receive_more();
        // The mode is polled even while output is queued: the chat must be able to evict the
        // client.
        let sends = mode.poll_product(cx)?.is_ready() || queued > 0;
        // The order of the arms is the order of precedence: what is still to be sent comes before
        // any end.
        Ok(match self.state {
            ConversationState::Paused if sends => Step::Send,
            ConversationState::Paused => Step::Listen,
            ConversationState::Open if !sends && mode.closes_first() => {
                self.end_input();
                self.shut_down()
            }
            ConversationState::Open => Step::Exchange { sends },
            ConversationState::Flushing | ConversationState::Ending if sends => Step::Send,
            ConversationState::Ending if more_may_come => Step::Listen,
            ConversationState::Ending => self.shut_down(),
            _ => Step::Close,
        })
    }

    fn shut_down(&mut self) -> Step {
        self.begin_lingering();
        Step::ShutDown
    }

    /// Returns the connection's permit, once. Called before the client can see the end.
    pub(crate) fn release_permit(&mut self) {
        // Idempotent: each path to the end releases as early as it can, and the drop comes last.
        if std::mem::take(&mut self.has_permit) {
            self.service.client_notes.free_slot(self.number);
            self.service.release_permit();
        }
    }

    /// True once for each notice: SIGUSR1 requests a report, or the settings have changed.
    #[inline]
    pub(crate) fn is_notified(&mut self) -> bool {
        self.service.reports.is_noticed(&mut self.answered)
    }

    /// Adds the client's report to the current round.
    pub(crate) fn report(&self, peer: Option<Addr>, traffic: Traffic) {
        let peer = self.introduced_from().or(peer);
        self.service.reports.add(ClientReport {
            number: self.number,
            peer: peer.map_or_else(|| "gone".to_owned(), |peer| peer.to_string()),
            // Saturating, as `age` itself saturates after 13 years.
            age: self.service.server.age().saturating_sub(self.accepted_at),
            traffic,
            is_paused: self.state == ConversationState::Paused,
        });
    }

    /// Obeys an order for this client, if there is one. True if something has changed.
    ///
    /// # Errors
    /// The client is to be closed.
    pub(crate) fn obey(&mut self) -> Result<bool, CloseReason> {
        match self.service.reports.take_order(self.number) {
            Some(Order::Close(_)) => Err(CloseReason::ByOperator),
            Some(Order::Pause(_)) if self.is_open() => {
                self.state = ConversationState::Paused;
                Ok(true)
            }
            Some(Order::Resume(_)) => Ok(self.resume()),
            Some(Order::Pause(_)) | None => Ok(false),
        }
    }

    /// True while nothing is read from the client because an operator wants that.
    pub(crate) fn is_paused(&mut self) -> bool {
        self.resume_in_drain();
        self.state == ConversationState::Paused
    }

    fn resume(&mut self) -> bool {
        let was_paused = self.state == ConversationState::Paused;
        if was_paused {
            self.state = ConversationState::Open;
        }
        was_paused
    }

    /// Ends a pause once the server drains: what the client has sent is answered.
    fn resume_in_drain(&mut self) {
        if self.state == ConversationState::Paused && self.service.is_draining() {
            self.state = ConversationState::Open;
        }
    }

    /// The client's address, by the balancer that has introduced it.
    fn introduced_from(&self) -> Option<Addr> {
        let introduction = self.service.client_notes.introduction(self.number);
        introduction.map(|introduced| introduced.from)
    }

    /// The client's address, and the address that it has connected to: those that a balancer has
    /// named, or else those of its socket.
    ///
    /// # Errors
    /// `ENOTCONN` once the client has reset the connection.
    pub(crate) fn addrs(&self, socket: &Socket) -> io::Result<Introduction> {
        if let Some(introduction) = self.service.client_notes.introduction(self.number) {
            return Ok(introduction);
        }
        let to = socket.local_addr()?;
        let from = match socket.peer_addr() {
            Err(_) if to.inet().is_none() => Addr::UnixUnnamed, // as most Unix clients are
            from => from?,
        };
        Ok(Introduction { from, to })
    }

    /// Counts the connection: it is served from now on.
    pub(crate) fn begin(&mut self, peer: Addr) {
        self.is_counted = true;
        self.service.count_begin(self.number, peer);
    }

    /// Notes that there is no peer for the client, which is logged.
    pub(crate) fn note_no_peer(&mut self, error: io::Error) {
        self.has_no_peer = true;
        self.service.log_no_peer(error);
    }

    /// Logs and counts how the connection ended.
    pub(crate) fn end(
        &mut self,
        end: &Result<(), CloseReason>,
        moved: Moved,
        peer: impl Fn() -> Option<Addr>,
    ) {
        let Service { server, handle, .. } = &*self.service;
        let peer = || self.introduced_from().or_else(&peer);
        close_reason::log_end(&server.notices, handle, self.number, end, peer);
        let end = match End::of(end) {
            End::Closed if self.has_no_peer => End::NoPeer,
            end => end,
        };
        self.count_end(end, Some(moved));
    }

    /// Counts a connection that is dropped before its end: the drain is over, or its task panicked.
    pub(crate) fn count_drop(&mut self, moved: Option<Moved>) {
        let is_cut_off = self.service.server.has_reached(Lifecycle::CuttingOff);
        let end = if is_cut_off {
            End::CutOff
        } else {
            End::Dropped
        };
        self.count_end(end, moved);
    }

    fn count_end(&mut self, end: End, moved: Option<Moved>) {
        if std::mem::take(&mut self.is_counted) {
            self.service.count_end(self.number, end, moved);
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.release_permit();
        self.count_drop(None);
        self.service.client_notes.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::server::Server;
    use crate::shared_service::SharedService;
    use clap::Parser;
    use oneloop::EventLoop;
    use oneloop::cluster::{Cluster, Member};
    use std::sync::Arc;
    use std::task::Waker;

    /// Runs with a service whose server has one permit, and that is taken.
    fn with_conversation(test: impl FnOnce(&mut Conversation)) {
        let event_loop = EventLoop::new().unwrap();
        let options = Options::parse_from(["oneloop"]);
        let shared = SharedService::new(&options, Vec::new());
        let server = Server::new(options.process, 1, vec![Arc::clone(&shared)]);
        let handle = event_loop.handle();
        let member = Member::join(&Cluster::new(1), 0, &handle);
        let service = Service::new(&server, &shared, &handle, &member);
        assert!(server.try_take_permit());
        member.count_connection().leave();
        let mut conversation = Conversation::new(&service, 1);
        test(&mut conversation);
        drop(conversation);
        assert_eq!(server.connections(), 0, "each permit is released once");
        assert_eq!(member.connections(), 0);
    }

    fn step(conversation: &mut Conversation, mode: &mut Mode, queued: usize) -> Step {
        let mut cx = Context::from_waker(Waker::noop());
        conversation.poll_step(&mut cx, mode, queued).unwrap()
    }

    #[test]
    fn a_conversation_takes_32_bytes() {
        assert_eq!(size_of::<Conversation>(), 32);
    }

    #[test]
    fn a_client_that_ends_first_gets_what_is_queued_and_is_closed() {
        with_conversation(|conversation| {
            let mode = &mut Mode::Echo;
            assert_eq!(step(conversation, mode, 0), Step::Exchange { sends: false });
            assert_eq!(step(conversation, mode, 9), Step::Exchange { sends: true });
            assert!(conversation.client_ended());
            assert_eq!(step(conversation, mode, 9), Step::Send);
            assert_eq!(step(conversation, mode, 0), Step::Close);
        });
    }

    #[test]
    fn a_server_that_ends_first_lets_the_client_close() {
        with_conversation(|conversation| {
            let mode = &mut Mode::Echo;
            assert!(conversation.end_input());
            assert!(!conversation.end_input(), "only an open one ends");
            assert_eq!(step(conversation, mode, 9), Step::Send);
            assert_eq!(step(conversation, mode, 0), Step::ShutDown);
            assert_eq!(step(conversation, mode, 0), Step::Linger);
            assert!(!conversation.client_ended(), "the server was first");
            conversation.release_permit();
            assert_eq!(step(conversation, mode, 0), Step::Close);
        });
    }

    #[test]
    fn daytime_closes_once_its_greeting_is_sent() {
        with_conversation(|conversation| {
            let mode = &mut Mode::Daytime;
            assert_eq!(step(conversation, mode, 9), Step::Exchange { sends: true });
            assert_eq!(step(conversation, mode, 0), Step::ShutDown);
        });
    }

    #[test]
    fn a_member_that_ends_in_a_drain_still_receives_what_others_say() {
        with_conversation(|conversation| {
            let room = conversation.service().shared.room.clone();
            let mut other = room.join();
            let mode = &mut Mode::Chat(Box::new(room.join()));
            conversation.end_input();
            mode.end_input();
            assert_eq!(step(conversation, mode, 0), Step::Listen);
            assert!(!conversation.client_ended());
            assert_eq!(step(conversation, mode, 0), Step::Listen);
            other.say(b"bye\n");
            drop(other);
            assert_eq!(step(conversation, mode, 0), Step::Send);
            mode.produced(4);
            assert_eq!(step(conversation, mode, 0), Step::ShutDown);
        });
    }
}
