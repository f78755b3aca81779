//! One client that the server itself talks to, in the styles that poll: `task` and `green`.

use crate::budget::OverBudget;
use crate::client::{Client, Served};
use crate::close_reason::CloseReason;
use crate::conversation::Step;
use crate::counters::Moved;
use crate::mode::Mode;
use crate::output::Output;
use crate::reports::{FOR_CLIENT, FOR_INPUT, Traffic};
use oneloop::core::Direction;
use oneloop::net::{Chunk, ReadHalf, WriteHalf};
use std::io;
use std::task::{Context, Poll, ready};

/// A client and what it is served.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    mode: Mode,
    output: Output,
    /// Bytes that the kernel has taken for the client.
    sent: u64,
}

impl Connection {
    pub(crate) fn new(client: Client, mode: Mode) -> Self {
        let mut output = Output::default();
        if let Some(greeting) = mode.greeting() {
            // Queued, not sent: the constructor has no waker, and the first poll sends it.
            output.push(greeting.as_bytes());
        }
        Connection {
            client,
            mode,
            output,
            sent: 0,
        }
    }

    /// The next input, for [`Connection::answer`]; `None` once the conversation is over. Meanwhile
    /// it carries out the steps of the conversation.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Chunk>, CloseReason>> {
        loop {
            // Asked again after each step, as each one changes the answer.
            let queued = self.output.len();
            let conversation = &mut self.client.conversation;
            match conversation.poll_step(cx, &mut self.mode, queued)? {
                Step::Exchange { sends } => {
                    if let Some(input) = ready!(self.poll_exchange(cx, sends))? {
                        return Poll::Ready(Ok(Some(input)));
                    }
                }
                Step::Send if self.poll_send(cx)?.is_ready() => {}
                Step::Send | Step::Listen => {
                    // Nothing is read here, so a reset is found only by watching for it.
                    let reset = ready!(self.client.socket().poll_reset(cx));
                    return Poll::Ready(Err(reset.into()));
                }
                Step::ShutDown => self.client.begin_lingering()?,
                Step::Linger => ready!(self.client.poll_lingering(cx))?,
                Step::Close => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Sends the answer to some input; what the kernel does not take is queued.
    pub(crate) fn answer(&mut self, input: &[u8]) -> Result<(), CloseReason> {
        let answer = self.mode.answer(input);
        // Tried at once, without waiting for an edge: nearly always the kernel takes it, and then
        // an echo is two system calls, recv and send.
        let sent = self.output.send(self.client.socket(), answer)? as u64;
        self.count_sent(sent);
        self.note_output(false);
        Ok(())
    }

    /// Sends and reads. Ready with input, or without it once there is another step to take.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        sends: bool,
    ) -> Poll<Result<Option<Chunk>, CloseReason>> {
        let has_sent = sends && self.poll_send(cx)?.is_ready();
        // After the send: what the client has just taken makes room for input.
        let bytes_max = self.input_bytes_max();
        if bytes_max > 0 {
            match self.client.poll_input(cx, bytes_max)? {
                Poll::Ready(Some(input)) => return Poll::Ready(Ok(Some(input))),
                Poll::Ready(None) => {
                    self.client.conversation.client_ended();
                    // An unfinished line of a chat is passed on now: last words need no end of
                    // line.
                    self.mode.end();
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending if self.client.is_drained() => {
                    self.client.conversation.end_input();
                    self.mode.end_input();
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending => {}
            }
        }
        if has_sent {
            Poll::Ready(Ok(None))
        } else {
            Poll::Pending
        }
    }

    #[inline]
    fn input_bytes_max(&self) -> usize {
        let queued = self.output.len() + self.mode.waiting();
        let socket = self.client.socket();
        // Without input there is nothing to limit, and the system call can be saved.
        let send_room = || match socket.source().is_ready(Direction::Read) {
            true => socket.send_room().unwrap_or(0),
            false => 0,
        };
        self.client.service().input_bytes_max(queued, send_room)
    }

    fn has_to_send(&self) -> bool {
        !self.output.is_empty() || self.mode.has_product()
    }

    /// Sends some of the queue, or else some of what the mode produces: one of the two has bytes.
    /// Ready when some were sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let sent = if self.output.is_empty() {
            self.poll_send_product(cx)?
        } else {
            self.output.poll_flush(cx, self.client.socket())?
        };
        self.note_output(sent.is_ready());
        let sent = ready!(sent) as u64;
        self.count_sent(sent);
        self.client.note_activity();
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn count_sent(&mut self, bytes: u64) {
        self.sent += bytes;
        self.client.service().counters.sent.add(bytes);
    }

    /// Sends some of what the mode produces, straight from where the mode keeps it: a queue would
    /// copy what the kernel does not take.
    fn poll_send_product(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let socket = self.client.socket();
        // Before the product is copied: a client whose buffer is full must not cost a copy for
        // each wake-up.
        ready!(socket.source().poll_ready(cx, Direction::Write))?;
        let product = self.mode.product(|| socket.send_room().unwrap_or(0));
        let count = ready!(socket.poll_write(cx, &product))?;
        self.mode.produced(count);
        Poll::Ready(Ok(count))
    }

    #[inline]
    fn note_output(&mut self, taken: bool) {
        if self.client.may_expire() {
            // Only with a timeout: in a chat, the question takes the room's lock.
            let waits = self.has_to_send();
            self.client.note_output(waits, taken);
        }
    }
}

impl Drop for Connection {
    /// Resets a client for which output still waits: its loop ends at the end of a drain, a timeout
    /// passed, or the server panicked.
    fn drop(&mut self) {
        // While it lingers, other members of a chat may speak on, but not to this client.
        let has_sent_all = self.client.conversation.has_sent_all();
        if !has_sent_all && (!self.output.is_empty() || self.mode.waiting() > 0) {
            self.client.reset_on_close();
        }
        let moved = self.moved();
        self.client.conversation.count_drop(Some(moved));
    }
}

impl Served for Connection {
    fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    #[inline]
    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), OverBudget> {
        self.output.note(cx, &self.client.service().server.budget)
    }

    fn moved(&self) -> Moved {
        Moved {
            received: self.client.received(),
            sent: self.sent,
        }
    }

    fn traffic(&mut self) -> Traffic {
        let queued = self.output.len() + self.mode.waiting();
        let is_paused = queued >= self.client.service().out_soft();
        let waits = if is_paused || self.mode.has_product() {
            FOR_CLIENT
        } else {
            FOR_INPUT
        };
        Traffic {
            moved: self.moved(),
            queued,
            waits,
        }
    }

    fn try_to_send(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.has_to_send() {
            return false;
        }
        self.client.socket().source().assume_ready(Direction::Write);
        matches!(self.poll_send(cx), Poll::Ready(Ok(())))
    }
}
