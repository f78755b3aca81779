//! Bytes from one stream to another: by `splice(2)` where many come at once, by `recv(2)` and
//! `send(2)` where few do.

use crate::buffer::{CHUNK_BYTES, Chunk};
use crate::splice::{SPLICE, SplicePipe};
use crate::stream::{ReadHalf, WriteHalf, reset_error};
use oneloop_core::{Direction, Done, Ready, Source};
use std::error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// So many full buffers in a row are no conversation any more.
const FULL_READS: u8 = 2;
/// Less than this at once is copied faster than it is spliced.
const SPLICED_BYTES_MIN: usize = 16 * 1024;

/// At which end a copy failed, and how.
#[derive(Debug)]
pub enum CopyError {
    /// Nothing more could be read. What was read before is written, unless the other stream took no
    /// more when this one was reset.
    Read(io::Error),
    /// Nothing more could be written. What was read before is lost, if [`Copying::held`] says so.
    Write(io::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Read(error) | CopyError::Write(error) => error.fmt(f),
        }
    }
}

impl error::Error for CopyError {}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(error) | CopyError::Write(error) => error,
        }
    }
}

/// How a copy is made.
#[derive(Clone, Copy, Debug)]
pub struct CopyOptions {
    /// How many bytes may be read before those in front of them are written; at most, and at first,
    /// [`CHUNK_BYTES`]. With less, nothing is spliced.
    pub ahead_bytes_max: usize,
    /// Whether many bytes are moved by `splice(2)`; they are. That has no way to do without
    /// `SIGPIPE`, which Rust programs ignore: one that does not has to switch this off.
    pub splices: bool,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions {
            ahead_bytes_max: CHUNK_BYTES,
            splices: true,
        }
    }
}

/// What was read and not written yet.
#[derive(Debug)]
enum Held {
    Nothing,
    Chunk { chunk: Chunk, written: usize },
    Pipe(SplicePipe),
}

/// A copy that is under way: all that one stream gives is written to another one, no faster than
/// that one takes it.
///
/// ```text
///            ┌── a message: recv, send, through a pooled chunk ──┐
///  from ─────┤                                                   ├────▶ to
///            └── two full chunks later: splice, through a pipe ──┘
///                (a splice of less than 16 KiB goes back to messages)
/// ```
///
/// A copy that waits for bytes holds nothing, neither a buffer nor a pipe; one that waits for room
/// holds what it has read, and reads no more: a pipe, or memory of the size of what waits. A reset
/// of the stream that it reads ends it then, too: what is held is lost, as nothing says whether the
/// other stream will ever take it. A message takes two system calls; 64 KiB of many take two as
/// well, and less processor time, as nothing is copied.
///
/// It holds no streams: those of the next poll are to be those of the last one.
#[derive(Debug)]
pub struct Copying {
    options: CopyOptions,
    held: Held,
    /// Full buffers in a row, up to [`FULL_READS`].
    full_reads: u8,
    has_ended: bool,
    copied: u64,
}

impl Default for Copying {
    fn default() -> Self {
        Copying::with(CopyOptions::default())
    }
}

impl Copying {
    /// A copy that has not begun.
    pub fn new() -> Self {
        Copying::default()
    }

    /// A copy that has not begun, with options.
    pub fn with(options: CopyOptions) -> Self {
        Copying {
            options,
            held: Held::Nothing,
            full_reads: 0,
            has_ended: false,
            copied: 0,
        }
    }

    /// How many bytes were written so far.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// How many bytes were read and are not written yet.
    pub fn held(&self) -> usize {
        match &self.held {
            Held::Nothing => 0,
            Held::Chunk { chunk, written } => chunk.len() - written,
            Held::Pipe(pipe) => pipe.bytes(),
        }
    }

    /// Changes [`CopyOptions::ahead_bytes_max`], for what is read from now on.
    pub fn set_ahead_bytes_max(&mut self, bytes: usize) {
        self.options.ahead_bytes_max = bytes;
    }

    /// Reads no more, as if the stream had ended; what is held is still written.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// Copies until the end; gives how many bytes it were.
    ///
    /// Nothing is lost when it is not polled for a while: what was read and not written stays in
    /// here. Dropping it drops that, which is what [`Copying::held`] counts.
    ///
    /// # Errors
    /// Those of `recv(2)` and `send(2)`; it says which. A lack of fds for pipes is none.
    pub fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        to: &W,
    ) -> Poll<Result<u64, CopyError>>
    where
        R: ReadHalf + ?Sized,
        W: WriteHalf + ?Sized,
    {
        let splices = self.options.splices && from.is_spliced() && to.is_spliced();
        loop {
            match self.poll_write_held(cx, to) {
                Poll::Ready(written) => written.map_err(CopyError::Write)?,
                Poll::Pending => return self.poll_reset(cx, from).map(|e| Err(CopyError::Read(e))),
            }
            if self.has_ended {
                return Poll::Ready(Ok(self.copied));
            }
            ready!(self.poll_hold(cx, from, splices)).map_err(CopyError::Read)?;
        }
    }

    /// While it waits for room, nothing is read, so a reset has to be watched for. Bytes whose end
    /// was read are whole: they are still written.
    fn poll_reset<R: ReadHalf + ?Sized>(&self, cx: &mut Context<'_>, from: &R) -> Poll<io::Error> {
        if self.has_ended {
            Poll::Pending
        } else {
            from.poll_reset(cx)
        }
    }

    /// True if it waits for bytes to read.
    pub(crate) fn is_reading(&self) -> bool {
        !self.has_ended && self.held() == 0
    }

    /// Reads something, or the end.
    fn poll_hold<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        splices: bool,
    ) -> Poll<io::Result<()>> {
        let bytes_max = self.options.ahead_bytes_max.clamp(1, CHUNK_BYTES);
        if splices && self.full_reads >= FULL_READS && bytes_max == CHUNK_BYTES {
            ready!(from.source().poll_ready(cx, Direction::Read))?;
            if let Some(pipe) = SplicePipe::take() {
                return self.poll_fill(cx, from, pipe);
            }
        }
        let Some(chunk) = ready!(from.poll_read_chunk(cx, bytes_max))? else {
            self.has_ended = true;
            return Poll::Ready(Ok(()));
        };
        self.full_reads = match chunk.len() {
            CHUNK_BYTES => FULL_READS.min(self.full_reads + 1),
            _ => 0,
        };
        self.held = Held::Chunk { chunk, written: 0 };
        Poll::Ready(Ok(()))
    }

    fn poll_fill<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        mut pipe: SplicePipe,
    ) -> Poll<io::Result<()>> {
        let filled = from
            .source()
            .poll_io(cx, Direction::Read, |fd| whole(pipe.fill(fd)?));
        match ready!(filled) {
            Ok(0) => self.has_ended = true,
            Ok(bytes) => {
                if bytes < SPLICED_BYTES_MIN {
                    self.full_reads = 0;
                }
                self.held = Held::Pipe(pipe);
            }
            Err(error) if SPLICE.is_refused_by(&error) => self.options.splices = false,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once nothing is held.
    fn poll_write_held<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        to: &W,
    ) -> Poll<io::Result<()>> {
        while self.held() > 0 {
            let count = match &mut self.held {
                Held::Nothing => break,
                Held::Chunk { chunk, written } => {
                    let polled = to.poll_write(cx, &chunk[*written..]);
                    if polled.is_pending() && chunk.shrink_behind(*written) {
                        *written = 0;
                    }
                    let count = ready!(polled)?;
                    *written += count;
                    count
                }
                Held::Pipe(pipe) => {
                    let emptied = to
                        .source()
                        .poll_io(cx, Direction::Write, |fd| whole(pipe.empty(fd)?));
                    match ready!(emptied) {
                        Ok(count) => count,
                        Err(error) if SPLICE.is_refused_by(&error) => {
                            self.take_back()?;
                            continue;
                        }
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.copied += count as u64;
        }
        self.held = Held::Nothing;
        Poll::Ready(Ok(()))
    }

    /// Holds in a chunk what the other end does not take from a pipe, and splices no more.
    fn take_back(&mut self) -> io::Result<()> {
        self.options.splices = false;
        if let Held::Pipe(pipe) = std::mem::replace(&mut self.held, Held::Nothing) {
            let chunk = pipe.into_chunk()?;
            self.held = Held::Chunk { chunk, written: 0 };
        }
        Ok(())
    }
}

/// A splice that moves less than was asked for does not tell why: only `EAGAIN` does.
fn whole(bytes: usize) -> io::Result<Done<usize>> {
    Ok(Done::stream(bytes, bytes))
}

/// Copies all that one stream gives to another one, until it ends; gives how many bytes it were.
/// The other one is not ended. A reset of either ends it at once, also of the one that is not
/// waited for.
///
/// Not cancel safe: dropped, it has moved an unknown part, and what it had read and not written, 64
/// KiB at most, is lost. To go on later, keep a [`Copying`] and poll that.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_net::{Shutdown, UnixStream, copy};
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let (client, server) = UnixStream::pair()?;
///     client.write_all(b"hello").await?;
///     client.shutdown(Shutdown::Write)?;
///     assert_eq!(copy(&server, &server).await?, 5); // an echo
///     assert_eq!(&*client.read_chunk().await?.unwrap(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// Those of `recv(2)` and `send(2)`.
pub async fn copy<R, W>(from: &R, to: &W) -> io::Result<u64>
where
    R: ReadHalf + ?Sized,
    W: WriteHalf + ?Sized,
{
    let mut copying = Copying::new();
    let poll = |cx: &mut Context<'_>| match copying.poll(cx, from, to) {
        // Nothing is written while it waits for bytes, so it watches for the end of their reader.
        Poll::Pending if copying.is_reading() => {
            poll_gone(cx, to).map(|error| Err(CopyError::Write(error)))
        }
        polled => polled,
    };
    let copied = waits_on_two(from.source(), to.source(), poll);
    Ok(copied.await?)
}

/// Waits until a socket can be written to no more, because its peer has gone or reset the
/// connection. Only a hang-up says so for good: the readers of a FIFO may come back.
fn poll_gone<W: WriteHalf + ?Sized>(cx: &mut Context<'_>, to: &W) -> Poll<io::Error> {
    let source = to.source();
    ready!(source.poll_watch(cx, Direction::Write, Ready::HANG_UP));
    Poll::Ready(match source.ready().contains(Ready::ERROR) {
        true => reset_error(source),
        false => io::ErrorKind::BrokenPipe.into(),
    })
}

/// A poll function that waits to read from one source, and to write to another, as a future that
/// takes both waits back when it is dropped.
pub(crate) async fn waits_on_two<T>(
    from: &Source,
    to: &Source,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    let mut writes = to.io(Direction::Write, poll);
    from.io(Direction::Read, |cx| Pin::new(&mut writes).poll(cx))
        .await
}
