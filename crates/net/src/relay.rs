//! Copying between two streams, both ways.

use crate::copy::{CopyError, CopyOptions, Copying, waits_on_two};
use crate::socket::ByteStream;
use crate::stream::{ReadHalf, WriteHalf};
use std::error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

/// One side of a relay.
#[derive(Debug)]
pub struct Side<'a, R: ?Sized, W: ?Sized> {
    /// The stream that the relay reads.
    pub from: &'a R,
    /// The stream that the relay writes; `None` once it is closed.
    pub to: Option<&'a W>,
}

impl<'a, S: ByteStream> Side<'a, S, S> {
    /// A socket, which is both streams of its side.
    pub fn of(stream: &'a S) -> Self {
        Side {
            from: stream,
            to: Some(stream),
        }
    }
}

/// The side at which a relay failed, and the error.
#[derive(Debug)]
pub enum RelayError {
    /// The first side could not be read or written.
    First(io::Error),
    /// The second side could not be read or written.
    Second(io::Error),
}

impl RelayError {
    /// The error of one way, which reads the side `from` and writes the side `to`.
    fn of(error: CopyError, from: fn(io::Error) -> Self, to: fn(io::Error) -> Self) -> Self {
        match error {
            CopyError::Read(error) => from(error),
            CopyError::Write(error) => to(error),
        }
    }
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

/// The numbers of bytes that a relay has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// From the first side to the second.
    pub there: u64,
    /// From the second side to the first.
    pub back: u64,
}

/// The progress of one way.
///
/// ```text
///          from has ended, all bytes are written:
///  Copying ─────────── to.end() succeeds ──────────▶ Ended
///     │ │ └─────────── to.end() fails ─────────────▶ EndFailed
///     │ │
///     │ └─ to takes no more (EPIPE, ECONNRESET) ───▶ Refused: reads and drops until from ends
///     └─── to fails otherwise (ENOBUFS, …) ────────▶ the relay fails
/// ```
#[derive(Debug)]
enum WayState {
    Copying,
    Ended,
    /// The error, until the relay returns it: a sandbox forbids shutdown(2). Only a close can send
    /// the end then.
    EndFailed(Option<io::Error>),
    Refused {
        /// The error of the write, until it is returned.
        error: Option<io::Error>,
        from_ended: bool,
    },
}

/// One direction of a [`Relay`].
#[derive(Debug)]
pub struct Way {
    copying: Copying,
    state: WayState,
    /// [`Way::end`] was called before the side that it reads had ended.
    is_stopped: bool,
}

impl Way {
    fn with(options: CopyOptions) -> Self {
        Way {
            copying: Copying::with(options),
            state: WayState::Copying,
            is_stopped: false,
        }
    }

    /// The number of bytes written so far.
    pub fn copied(&self) -> u64 {
        self.copying.copied()
    }

    /// The number of bytes that wait to be written.
    pub fn held(&self) -> usize {
        if self.is_over() {
            0
        } else {
            self.copying.held()
        }
    }

    /// True once the relay writes nothing more this way, because one side has ended or the other
    /// takes no more.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, WayState::Copying)
    }

    /// Changes [`CopyOptions::ahead_bytes_max`] for later reads.
    pub fn set_ahead_bytes_max(&mut self, bytes: usize) {
        self.copying.set_ahead_bytes_max(bytes);
    }

    /// Stops reading, as if that side had ended. Bytes already read are still written, and then the
    /// end.
    pub fn end(&mut self) {
        self.is_stopped |= !self.copying.has_ended();
        self.copying.end();
    }

    /// True once the side that it reads has ended by itself, and all bytes are written.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, WayState::Ended) && !self.is_stopped
    }

    /// Moves the bytes that can move now. With `leaves_end`, a close sends the end.
    ///
    /// # Errors
    /// Those of reading, and those of writing after which the other side waits for more.
    fn step<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        to: Option<&W>,
        leaves_end: bool,
    ) -> Result<(), CopyError>
    where
        R: ReadHalf + ?Sized,
        W: WriteHalf + ?Sized,
    {
        if let WayState::Copying = self.state {
            self.copy(cx, from, to, leaves_end)?;
        }
        match &mut self.state {
            WayState::Refused { from_ended, .. } if !*from_ended => {
                *from_ended = read_and_drop(cx, from).map_err(CopyError::Read)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        to: Option<&W>,
        leaves_end: bool,
    ) -> Result<(), CopyError>
    where
        R: ReadHalf + ?Sized,
        W: WriteHalf + ?Sized,
    {
        let copied = match to {
            Some(to) => self.copying.poll(cx, from, to),
            // A closed side counts as one that takes no more: its peer's output is read and
            // dropped.
            None => Poll::Ready(Err(CopyError::Write(io::ErrorKind::BrokenPipe.into()))),
        };
        match copied {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => {
                // The end follows the last byte at once, so that half-closed protocols work through
                // the relay.
                let to = to.filter(|_| !leaves_end || self.is_stopped);
                self.state = match to.map(W::end) {
                    Some(Err(error)) if !is_gone(&error) => WayState::EndFailed(Some(error)),
                    // If that side is gone, reading from it returns the error.
                    _ => WayState::Ended,
                };
            }
            Poll::Ready(Err(CopyError::Write(error))) if is_gone(&error) => {
                self.state = WayState::Refused {
                    error: Some(error),
                    from_ended: false,
                };
            }
            // After ENOBUFS or a refusal by a sandbox, the connection lives on. Its peer would wait
            // forever for bytes that are lost.
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// True while it waits for bytes to read; that wait reports a reset anyway.
    fn is_reading(&self) -> bool {
        match &self.state {
            WayState::Copying => self.copying.is_reading(),
            WayState::Ended | WayState::EndFailed(_) => false,
            WayState::Refused { from_ended, .. } => !from_ended,
        }
    }

    /// Watches a side that is not being read for a reset.
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

    /// Returns the error of writing, once.
    fn take_refusal(&mut self) -> io::Result<()> {
        match &mut self.state {
            WayState::Refused { error, .. } => error.take().map_or(Ok(()), Err),
            WayState::Copying | WayState::Ended | WayState::EndFailed(_) => Ok(()),
        }
    }

    /// Returns the error of sending the end, once. Without it, the side that is written would wait
    /// forever.
    fn take_failed_end(&mut self) -> io::Result<()> {
        match &mut self.state {
            WayState::EndFailed(error) => error.take().map_or(Ok(()), Err),
            WayState::Copying | WayState::Ended | WayState::Refused { .. } => Ok(()),
        }
    }
}

/// True for the errors of a side whose peer takes no more. What that peer sent before can still be
/// read, and then its end or its reset.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

/// Reads and drops bytes. Returns true at the end. Without this, the end of that side would go
/// unnoticed, and its writer would wait forever for room.
fn read_and_drop<R: ReadHalf + ?Sized>(cx: &mut Context<'_>, from: &R) -> io::Result<bool> {
    while let Poll::Ready(read) = from.poll_read_chunk(cx, usize::MAX) {
        if read?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Two [`Copying`]s, one each way, to be polled.
///
/// When one side ends, the other side gets the end ([`WriteHalf::end`]), and the opposite way
/// continues. It also continues when one side takes no more: a server that answers and closes
/// before it has read its whole input still delivers its answer, and input for it is dropped
/// meanwhile. A side that cannot be read ends both ways at once, and so does a write that fails for
/// any other reason, such as a lack of memory. So does the reset of a side that is not being read,
/// because it has ended or because the other side has no room; the bytes that were read from it and
/// not written are lost.
///
/// Closing a socket while its peer still sends resets the connection (RFC 9293, section 3.6.1), and
/// bytes on their way to that peer are lost. To deliver them, shut the socket down for writing, and
/// read it to its end before the close.
#[derive(Debug)]
pub struct Relay {
    there: Way,
    back: Way,
    back_comes_first: bool,
    /// See [`Relay::before_close`].
    is_before_close: bool,
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
            is_before_close: false,
        }
    }

    /// Leaves the last end to `close(2)`: for callers that close both sides as soon as the relay
    /// is over. A close of a socket that was read to its end sends the end as well, so a
    /// `shutdown(2)` just before it would say nothing new.
    #[must_use]
    pub fn before_close(mut self) -> Self {
        self.is_before_close = true;
        self
    }

    /// The way from the first side to the second.
    pub fn there(&self) -> &Way {
        &self.there
    }

    /// The way from the second side to the first.
    pub fn back(&self) -> &Way {
        &self.back
    }

    /// Mutable access to the way from the first side to the second.
    pub fn there_mut(&mut self) -> &mut Way {
        &mut self.there
    }

    /// Mutable access to the way from the second side to the first.
    pub fn back_mut(&mut self) -> &mut Way {
        &mut self.back
    }

    /// The numbers of bytes moved so far.
    pub fn relayed(&self) -> Relayed {
        Relayed {
            there: self.there.copied(),
            back: self.back.copied(),
        }
    }

    /// Relays until both ways are over. The relay may rest: nothing is lost while it is not polled.
    ///
    /// # Errors
    /// A failed read of a side ends the relay at once, and so does a failed write, because bytes were
    /// lost. Close both sides with a reset then
    /// ([`reset_on_close`](crate::Socket::reset_on_close)): an orderly end would make what each
    /// received look whole. The error of a side that takes no more (`EPIPE`, `ECONNRESET`) is
    /// returned once that side has ended. If an end cannot be sent, because a sandbox forbids it,
    /// the error is returned at once, unless both sides have ended.
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
        // The way that is polled first may use the task's whole I/O budget (rule 15), so they
        // alternate.
        self.back_comes_first = !self.back_comes_first;
        for is_back in [self.back_comes_first, !self.back_comes_first] {
            let step = if is_back {
                let leaves_end = self.is_before_close && self.there.is_complete();
                let step = self.back.step(cx, second.from, first.to, leaves_end);
                step.map_err(|error| RelayError::of(error, RelayError::Second, RelayError::First))
            } else {
                let leaves_end = self.is_before_close && self.back.is_complete();
                let step = self.there.step(cx, first.from, second.to, leaves_end);
                step.map_err(|error| RelayError::of(error, RelayError::First, RelayError::Second))
            };
            if let Err(error) = step {
                return Poll::Ready(Err(error));
            }
        }
        if !self.there.is_over() || !self.back.is_over() {
            self.there.take_failed_end().map_err(RelayError::Second)?;
            self.back.take_failed_end().map_err(RelayError::First)?;
            // A side that is not being read reports its reset only to a watch.
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
        // The first side's error wins: it is the client of a proxy.
        Poll::Ready(back.and(there).map(|()| self.relayed()))
    }
}

/// Relays between two sockets until both have ended: see [`Relay`].
///
/// Not cancel safe: dropped, it has moved an unknown part, and the bytes that it had read and not
/// written, at most 64 KiB each way, are lost. To continue later, keep a [`Relay`] and poll it.
///
/// ```no_run
/// use oneloop::net::{TcpStream, relay};
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
#[doc(alias = "copy_bidirectional")]
pub async fn relay<A, B>(first: &A, second: &B) -> io::Result<Relayed>
where
    A: ByteStream,
    B: ByteStream,
{
    let mut relay = Relay::new();
    let poll = |cx: &mut Context<'_>| relay.poll(cx, Side::of(first), Side::of(second));
    let (first, second) = (first.socket().source(), second.socket().source());
    // Each side is waited for in both directions, and each of the four waits ends with this future.
    let mut inner = pin!(waits_on_two(first, second, poll));
    let outer = waits_on_two(second, first, |cx| inner.as_mut().poll(cx));
    Ok(outer.await?)
}
