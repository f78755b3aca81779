//! One client that the server itself talks to: what can be done with it, for the styles that wait. When which of
//! it is done is theirs to say: `task` in the async style, `green` in green threads.

use crate::budget::Crowded;
use crate::client::{Broken, Client, Served};
use crate::inspect::{FOR_CLIENT, FOR_INPUT};
use crate::mode::Mode;
use crate::output::Output;
use oneloop::Direction;
use oneloop::net::{Chunk, ReadHalf, WriteHalf};
use std::io;
use std::task::{Context, Poll, ready};

/// What comes next on a connection that is open.
#[derive(Debug)]
pub(crate) enum Next {
    /// The client has said something.
    Input(Chunk),
    /// The client has sent its last: what waits for it goes out, and that is all.
    End,
    /// The server wants no more input: what waits goes out, and the server ends.
    Enough,
}

/// A client and what it is told.
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
            output.push(greeting.as_bytes());
        }
        Connection {
            client,
            mode,
            output,
            sent: 0,
        }
    }

    /// Sends what waits, and what others may still say to this client.
    pub(crate) fn poll_last_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.mode.end_input();
        loop {
            // Asked before the look at what waits: what is said in between is heard the next time.
            let more_may_come = self.mode.may_hear_more();
            match self.poll_send(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending if more_may_come || self.has_to_send() => {
                    let reset = self.client.socket().poll_reset(cx); // nothing is read any more
                    return reset.map(|error| Err(error.into()));
                }
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Moves bytes out and in, for as long as some move, until there is something to do.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Broken>> {
        loop {
            // Asked first, as mostly nothing is to be sent by now.
            let may_send = !self.output.is_empty() || self.mode.may_produce();
            let sent = may_send && self.poll_send(cx)?.is_ready();
            if self.mode.closes_first() && self.output.is_empty() {
                return Poll::Ready(Ok(Next::Enough));
            }
            let bytes_max = self.input_bytes_max();
            if bytes_max == 0 && !sent {
                return Poll::Pending;
            }
            if bytes_max > 0 {
                match self.client.poll_input(cx, bytes_max)? {
                    Poll::Ready(Some(input)) => return Poll::Ready(Ok(Next::Input(input))),
                    Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                    Poll::Pending if self.client.is_drained() => {
                        return Poll::Ready(Ok(Next::Enough));
                    }
                    Poll::Pending if sent => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    #[inline]
    fn input_bytes_max(&self) -> usize {
        let waiting = self.output.len() + self.mode.waiting();
        let socket = self.client.socket();
        let send_room = || match socket.source().is_ready(Direction::Read) {
            true => socket.send_room().unwrap_or(0),
            false => 0,
        };
        self.client.service().input_bytes_max(waiting, send_room)
    }

    /// Says to the client what its input calls for; what the kernel does not take waits.
    pub(crate) fn answer(&mut self, input: &[u8]) -> Result<(), Broken> {
        let answer = self.mode.answer(input);
        self.sent += self.output.send(self.client.socket(), answer)? as u64;
        self.note_output(false);
        Ok(())
    }

    fn has_to_send(&self) -> bool {
        !self.output.is_empty() || self.mode.produces()
    }

    /// Sends some of what waits, or what the mode sends by itself. Ready when something was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let sent = if self.output.is_empty() {
            ready!(self.mode.poll_produces(cx))?;
            self.poll_send_product(cx)?
        } else {
            self.output.poll_flush(cx, self.client.socket())?
        };
        self.note_output(sent.is_ready());
        self.sent += ready!(sent) as u64;
        self.client.note_activity();
        Poll::Ready(Ok(()))
    }

    /// Sends some of what the mode sends by itself: what the kernel does not take is not copied either.
    fn poll_send_product(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let socket = self.client.socket();
        ready!(socket.source().poll_ready(cx, Direction::Write))?;
        let product = self.mode.product(|| socket.send_room().unwrap_or(0));
        let count = ready!(socket.poll_write(cx, &product))?;
        self.mode.produced(count);
        Poll::Ready(Ok(count))
    }

    /// The client has sent its last. Ready once nothing waits any more.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.mode.end();
        while self.has_to_send() {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn note_output(&mut self, taken: bool) {
        if self.client.may_expire() {
            let waits = self.has_to_send();
            self.client.note_output(waits, taken);
        }
    }
}

impl Served for Connection {
    fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    #[inline]
    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), Crowded> {
        self.output.note(cx, &self.client.service().shared.budget)
    }

    fn traffic(&mut self) -> (u64, u64, usize, &'static str) {
        let queued = self.output.len() + self.mode.waiting();
        let may_read = queued < self.client.service().out_soft;
        let waits = if !may_read || self.mode.produces() {
            FOR_CLIENT
        } else {
            FOR_INPUT
        };
        (self.client.received(), self.sent, queued, waits)
    }

    /// A client that takes a little at a time makes some room long before the kernel tells: it tells
    /// when a third of its buffer is free. True if the client has taken something after all.
    fn try_to_send(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.has_to_send() {
            return false;
        }
        self.client.socket().source().assume_ready(Direction::Write);
        matches!(self.poll_send(cx), Poll::Ready(Ok(())))
    }
}
