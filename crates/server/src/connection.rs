//! One client, as its connection: what can be done with it, for the styles that wait. When which of it
//! is done is theirs to say: `task` in the async style, `green` in green threads.

use crate::chat::Member;
use crate::mode::Mode;
use crate::output::Output;
use crate::patience::{Expired, Patience};
use crate::service::Service;
use oneloop::Direction;
use oneloop::net::{Addr, Chunk, ReadHalf, Shutdown, Socket, WriteHalf};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tracing::{debug, info};

/// Why a connection ended before its time.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Expired(Expired),
    /// More than `--out-hard` waits for the client.
    TooSlow,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Io(error)
    }
}

impl From<Expired> for Broken {
    fn from(expired: Expired) -> Self {
        Broken::Expired(expired)
    }
}

/// Tells how a connection ended.
pub(crate) fn log_end(number: u64, end: &Result<(), Broken>, peer: impl Fn() -> Option<Addr>) {
    let peer = || peer().map_or_else(|| "gone".to_owned(), |peer| peer.to_string());
    match end {
        Ok(()) => debug!(number, "closed"),
        Err(Broken::Io(error)) => debug!(number, %error, "closed"),
        Err(Broken::Expired(Expired::Linger)) => debug!(number, "closed: the client did not"),
        Err(Broken::Expired(expired)) => info!(number, peer = %peer(), "closed: {expired} passed"),
        Err(Broken::TooSlow) => {
            info!(number, peer = %peer(), "closed: more than --out-hard waited for it");
        }
    }
}

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

/// A client and what it is served. It gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    service: Rc<Service>,
    socket: Socket,
    mode: Mode,
    output: Output,
    /// Only where a time-out can come.
    patience: Option<Box<Patience>>,
    number: u64,
}

impl Connection {
    pub(crate) fn new(service: Rc<Service>, socket: Socket, number: u64, mode: Mode) -> Self {
        let mut output = Output::default();
        if let Some(greeting) = mode.greeting() {
            output.push(greeting.into());
        }
        let may_expire = !service.limits.are_off();
        let patience = may_expire.then(|| Box::new(Patience::new(service.limits, &service.handle)));
        Connection {
            service,
            socket,
            mode,
            output,
            patience,
            number,
        }
    }

    /// Which of the server's clients this is.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Polls something that has to be ready before the client's time is over.
    #[inline]
    pub(crate) fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, Broken>>,
    ) -> Poll<Result<T, Broken>> {
        loop {
            let polled = poll(self, cx);
            if polled.is_ready() {
                return polled;
            }
            let expired = ready!(self.poll_expired(cx));
            if !self.try_to_send(cx, expired) {
                return Poll::Ready(Err(expired.into()));
            }
        }
    }

    /// Sends what waits, and what others may still say to this client.
    pub(crate) fn poll_last_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.mode.end_input();
        loop {
            // Asked before the mail is fetched: what is said in between is heard the next time.
            let more_may_come = self.mode.member().is_some_and(Member::may_hear_more);
            self.fetch_mail(cx)?;
            ready!(self.poll_flush(cx))?;
            if !self.mode.member().is_some_and(Member::has_mail) {
                return if more_may_come {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                };
            }
        }
    }

    /// Moves bytes out and in, for as long as some move, until there is something to do.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Broken>> {
        loop {
            self.fetch_mail(cx)?;
            let sent = self.has_to_send() && self.poll_send(cx)?.is_ready();
            if self.mode.closes_first() && self.output.is_empty() {
                return Poll::Ready(Ok(Next::Enough));
            }
            let may_read = self.output.len() < self.service.out_soft;
            if !may_read && !sent {
                return Poll::Pending;
            }
            if may_read {
                match self.poll_input(cx)? {
                    Poll::Ready(Some(input)) => return Poll::Ready(Ok(Next::Input(input))),
                    Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                    Poll::Pending if self.is_drained() => return Poll::Ready(Ok(Next::Enough)),
                    Poll::Pending if sent => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    /// Reads a chunk; `None` when the client has sent its last.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if self.service.is_draining() {
            // What was received before the drain is read, even if the loop has not heard of it.
            self.socket.source().assume_ready(Direction::Read);
        }
        // Never so much that its answer could not wait here.
        let room = self
            .service
            .out_hard
            .saturating_sub(self.output.len())
            .max(1);
        let input = ready!(self.socket.poll_read_chunk(cx, room))?;
        self.note_activity();
        Poll::Ready(Ok(input))
    }

    /// True when nothing received is left that could still be answered.
    fn is_drained(&self) -> bool {
        self.service.is_draining() && !self.socket.source().is_ready(Direction::Read)
    }

    /// Says to the client what its input calls for; what the kernel does not take waits.
    pub(crate) fn answer(&mut self, input: &[u8]) -> Result<(), Broken> {
        let answer = self.mode.answer(input);
        self.output.send(&self.socket, answer)?;
        self.note_output(false);
        Ok(())
    }

    #[inline]
    fn fetch_mail(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.mode.member().is_some() {
            self.fetch_some_mail(cx)
        } else {
            Ok(())
        }
    }

    /// Moves what others said to the output, as long as there is room.
    #[cold]
    fn fetch_some_mail(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let Some(member) = self.mode.member() else {
            return Ok(());
        };
        let out_max = self.service.out_soft;
        member
            .fetch(&mut self.output, out_max, cx.waker())
            .map_err(|_| Broken::TooSlow)?;
        self.note_output(false);
        Ok(())
    }

    fn has_to_send(&self) -> bool {
        !self.output.is_empty() || !self.mode.produce().is_empty()
    }

    /// Sends some of what waits, or what the mode sends by itself. Ready when something was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let sent = if self.output.is_empty() {
            self.socket
                .poll_write(cx, self.mode.produce())?
                .map(|count| self.mode.produced(count))
        } else {
            self.output.poll_flush(cx, &self.socket)?
        };
        self.note_output(sent.is_ready());
        ready!(sent);
        self.note_activity();
        Poll::Ready(Ok(()))
    }

    /// Ready once nothing waits any more.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.output.is_empty() {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn note_output(&mut self, taken: bool) {
        let waits = self.patience.is_some() && self.has_to_send();
        if let Some(patience) = &mut self.patience {
            patience.note_output(&self.service.handle, waits, taken);
        }
    }

    fn note_activity(&mut self) {
        if let Some(patience) = &mut self.patience {
            patience.note_activity(&self.service.handle);
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        match &mut self.patience {
            None => Poll::Pending,
            Some(patience) => patience.poll_expired(cx, &self.service.handle),
        }
    }

    /// A client that takes a little at a time makes some room long before the kernel tells: it tells
    /// when a third of its buffer is free. True if the client has taken something after all.
    fn try_to_send(&mut self, cx: &mut Context<'_>, expired: Expired) -> bool {
        if expired == Expired::Linger || !self.has_to_send() {
            return false;
        }
        self.socket.source().assume_ready(Direction::Write);
        matches!(self.poll_send(cx), Poll::Ready(Ok(())))
    }

    /// Ends the server's side. From here on the client has little time left: until it closes, too, its
    /// input is read and dropped, as to close with input unread would reset the connection, and with it
    /// what is on its way.
    pub(crate) fn begin_lingering(&mut self) -> Result<(), Broken> {
        self.socket.shutdown(Shutdown::Write)?;
        let service = &self.service;
        let patience = self
            .patience
            .get_or_insert_with(|| Box::new(Patience::new(service.limits, &service.handle)));
        patience.note_lingering(&service.handle);
        Ok(())
    }

    /// Ready once the client has sent its last.
    pub(crate) fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while ready!(self.poll_input(cx))?.is_some() {}
        Poll::Ready(Ok(()))
    }

    /// Tells how it ended.
    pub(crate) fn log_end(&self, end: &Result<(), Broken>) {
        log_end(self.number, end, || self.socket.peer_addr().ok());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.service.close();
    }
}
