//! Two streams with everything that one gives written to the other, both ways.

use crate::copy::{CopyError, CopyOptions, Copying, waits_on_two};
use crate::stream::{ByteStream, ReadHalf, WriteHalf};
use oneloop_posix::Refusal;
use std::error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

/// One side of a relay: where its bytes come from, and where those for it go.
#[derive(Debug)]
pub struct Side<'a, R: ?Sized, W: ?Sized> {
    /// What it sends.
    pub from: &'a R,
    /// What it takes; nothing, once that is closed.
    pub to: Option<&'a W>,
}

impl<'a, S: ByteStream> Side<'a, S, S> {
    /// A socket is a side by itself.
    pub fn of(stream: &'a S) -> Self {
        Side {
            from: stream,
            to: Some(stream),
        }
    }
}

/// What one side of a relay did.
#[derive(Debug)]
pub enum RelayError {
    /// The first side could not be read, or did not take what was for it.
    First(io::Error),
    /// The second side could not.
    Second(io::Error),
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayError::First(error) | RelayError::Second(error) => error.fmt(f),
        }
    }
}

impl error::Error for RelayError {}

impl From<RelayError> for io::Error {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::First(error) | RelayError::Second(error) => error,
        }
    }
}

/// How many bytes a relay has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// From the first side to the second.
    pub there: u64,
    /// From the second side to the first.
    pub back: u64,
}

/// How far one way is.
///
/// ```text
/// Open ──from ended, all written──▶ Ended (to is told)
///   │                        └────▶ Untold (a sandbox forbids to tell it)
///   └────to takes no more─────────▶ Refused (what comes is read and dropped)
/// ```
#[derive(Debug)]
enum State {
    Open,
    Ended,
    /// Only closing tells the other side of the end then. None once the error was told.
    Untold(Option<io::Error>),
    Refused {
        /// None once it was told.
        error: Option<io::Error>,
        from_ended: bool,
    },
}

/// One way of a [`Relay`].
#[derive(Debug)]
pub struct Way {
    copying: Copying,
    state: State,
}

impl Way {
    fn with(options: CopyOptions) -> Self {
        Way {
            copying: Copying::with(options),
            state: State::Open,
        }
    }

    /// How many bytes were written so far.
    pub fn copied(&self) -> u64 {
        self.copying.copied()
    }

    /// How many bytes wait to be written.
    pub fn held(&self) -> usize {
        if self.is_over() {
            0
        } else {
            self.copying.held()
        }
    }

    /// True once nothing more will be written: the one side has ended, or the other takes no more.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Changes [`CopyOptions::ahead_bytes_max`], for what is read from now on.
    pub fn set_ahead_bytes_max(&mut self, bytes: usize) {
        self.copying.set_ahead_bytes_max(bytes);
    }

    /// Reads no more, as if that side had ended; what is held is still written, and then the end.
    pub fn end(&mut self) {
        self.copying.end();
    }

    /// Moves what can be moved now.
    ///
    /// # Errors
    /// Those of reading.
    fn step<R, W>(&mut self, cx: &mut Context<'_>, from: &R, to: Option<&W>) -> io::Result<()>
    where
        R: ReadHalf + ?Sized,
        W: WriteHalf + ?Sized,
    {
        if let State::Open = self.state {
            self.copy(cx, from, to)?;
        }
        match &mut self.state {
            State::Refused { from_ended, .. } if !*from_ended => {
                *from_ended = read_and_drop(cx, from)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn copy<R, W>(&mut self, cx: &mut Context<'_>, from: &R, to: Option<&W>) -> io::Result<()>
    where
        R: ReadHalf + ?Sized,
        W: WriteHalf + ?Sized,
    {
        let copied = match to {
            Some(to) => self.copying.poll(cx, from, to),
            None => Poll::Ready(Err(CopyError::Write(io::ErrorKind::BrokenPipe.into()))),
        };
        match copied {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => {
                self.state = match to.map(W::end) {
                    Some(Err(error)) if is_forbidden(&error) => State::Untold(Some(error)),
                    // If that side is gone, reading from it tells.
                    _ => State::Ended,
                };
            }
            Poll::Ready(Err(CopyError::Read(error))) => return Err(error),
            Poll::Ready(Err(CopyError::Write(error))) => {
                self.state = State::Refused {
                    error: Some(error),
                    from_ended: false,
                };
            }
        }
        Ok(())
    }

    /// True while it waits for bytes to read, and so hears of a reset anyway.
    fn is_reading(&self) -> bool {
        match &self.state {
            State::Open => self.copying.is_reading(),
            State::Ended | State::Untold(_) => false,
            State::Refused { from_ended, .. } => !from_ended,
        }
    }

    /// Watches for a reset by a side from which nothing is read.
    fn poll_reset<R>(&self, cx: &mut Context<'_>, from: &R) -> Poll<io::Error>
    where
        R: ReadHalf + ?Sized,
    {
        if self.is_reading() {
            Poll::Pending
        } else {
            from.poll_reset(cx)
        }
    }

    /// Why it took no more, once.
    fn take_refusal(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Refused { error, .. } => error.take().map_or(Ok(()), Err),
            State::Open | State::Ended | State::Untold(_) => Ok(()),
        }
    }

    /// A sandbox's refusal, once, because of which the side that is written to would wait forever.
    fn take_forbidden(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Refused { error, .. } | State::Untold(error) => error
                .take_if(|error| is_forbidden(error))
                .map_or(Ok(()), Err),
            State::Open | State::Ended => Ok(()),
        }
    }
}

/// True if a sandbox has refused a call that there is no way around.
fn is_forbidden(error: &io::Error) -> bool {
    Refusal::of_error(error) == Some(Refusal::Everywhere)
}

/// So that the end of that side is heard, and nobody there waits for ever for his bytes to be
/// taken. True once it has ended.
fn read_and_drop<R: ReadHalf + ?Sized>(cx: &mut Context<'_>, from: &R) -> io::Result<bool> {
    while let Poll::Ready(read) = from.poll_read_chunk(cx, usize::MAX) {
        if read?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Two [`Copying`]s, one each way.
///
/// When one side ends, the other is told ([`WriteHalf::end`]), and its own way goes on. When one
/// side takes no more, its own way goes on as well: a server that answers before it has heard all,
/// and closes, is heard out; what is sent to it meanwhile is dropped. A side that cannot be read
/// ends both ways at once, and so does a reset of a side from which nothing is read for now,
/// because it has ended or because the other side takes no more: what was received from it and not
/// written is lost then.
///
/// A socket that is closed while its peer still sends is reset, and with it what is on its way
/// there: whoever wants that to arrive shuts it down for writing, and reads it to its end first.
#[derive(Debug)]
pub struct Relay {
    there: Way,
    back: Way,
    back_comes_first: bool,
}

impl Default for Relay {
    fn default() -> Self {
        Relay::with(CopyOptions::default())
    }
}

impl Relay {
    /// A relay that has not begun.
    pub fn new() -> Self {
        Relay::default()
    }

    /// A relay that has not begun, with options for both ways.
    pub fn with(options: CopyOptions) -> Self {
        Relay {
            there: Way::with(options),
            back: Way::with(options),
            back_comes_first: true,
        }
    }

    /// The way from the first side to the second.
    pub fn there(&self) -> &Way {
        &self.there
    }

    /// The way from the second side to the first.
    pub fn back(&self) -> &Way {
        &self.back
    }

    /// The way from the first side to the second, to be ended.
    pub fn there_mut(&mut self) -> &mut Way {
        &mut self.there
    }

    /// The way from the second side to the first, to be ended.
    pub fn back_mut(&mut self) -> &mut Way {
        &mut self.back
    }

    /// How many bytes it has moved so far.
    pub fn relayed(&self) -> Relayed {
        Relayed {
            there: self.there.copied(),
            back: self.back.copied(),
        }
    }

    /// Relays until both ways are over. Nothing is lost when it is not polled for a while.
    ///
    /// # Errors
    /// Those of reading a side, at once. Those of writing to a side, once what it sends has ended:
    /// also `EPIPE`, as something was not delivered. Where a sandbox forbids writing or passing an
    /// end on, at once, unless both sides have ended.
    pub fn poll<R1, W1, R2, W2>(
        &mut self,
        cx: &mut Context<'_>,
        first: Side<'_, R1, W1>,
        second: Side<'_, R2, W2>,
    ) -> Poll<Result<Relayed, RelayError>>
    where
        R1: ReadHalf + ?Sized,
        W1: WriteHalf + ?Sized,
        R2: ReadHalf + ?Sized,
        W2: WriteHalf + ?Sized,
    {
        // Whichever way comes first may take the task's whole share of I/O, so they take turns.
        self.back_comes_first = !self.back_comes_first;
        for is_back in [self.back_comes_first, !self.back_comes_first] {
            let step = if is_back {
                let step = self.back.step(cx, second.from, first.to);
                step.map_err(RelayError::Second)
            } else {
                let step = self.there.step(cx, first.from, second.to);
                step.map_err(RelayError::First)
            };
            if let Err(error) = step {
                return Poll::Ready(Err(error));
            }
        }
        if !self.there.is_over() || !self.back.is_over() {
            self.there.take_forbidden().map_err(RelayError::Second)?;
            self.back.take_forbidden().map_err(RelayError::First)?;
            let first = self.there.poll_reset(cx, first.from);
            let second = self.back.poll_reset(cx, second.from);
            return match (first, second) {
                (Poll::Ready(error), _) => Poll::Ready(Err(RelayError::First(error))),
                (_, Poll::Ready(error)) => Poll::Ready(Err(RelayError::Second(error))),
                _ => Poll::Pending,
            };
        }
        let there = self.there.take_refusal().map_err(RelayError::Second);
        let back = self.back.take_refusal().map_err(RelayError::First);
        Poll::Ready(back.and(there).map(|()| self.relayed()))
    }
}

/// Relays between two sockets until both have ended: see [`Relay`].
///
/// Not cancel safe: dropped, it has moved an unknown part, and what it had read and not written, 64
/// KiB each way at most, is lost. To go on later, keep a [`Relay`] and poll that.
///
/// ```no_run
/// use oneloop_net::{TcpStream, relay};
/// # async fn serve(client: TcpStream) -> std::io::Result<()> {
/// let upstream = TcpStream::connect("localhost:8080").await?;
/// let relayed = relay(&client, &upstream).await?;
/// println!("{} bytes there, {} back", relayed.there, relayed.back);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Relay::poll`].
pub async fn relay<A, B>(first: &A, second: &B) -> io::Result<Relayed>
where
    A: ByteStream,
    B: ByteStream,
{
    let mut relay = Relay::new();
    let poll = |cx: &mut Context<'_>| relay.poll(cx, Side::of(first), Side::of(second));
    let (first, second) = (first.socket().source(), second.socket().source());
    let mut inner = pin!(waits_on_two(first, second, poll));
    let outer = waits_on_two(second, first, |cx| inner.as_mut().poll(cx));
    Ok(outer.await?)
}
