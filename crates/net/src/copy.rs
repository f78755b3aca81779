//! Copying from one stream to another: by `recv(2)` and `send(2)` for messages, by `splice(2)` for
//! bulk data.

use crate::buffer::{CHUNK_BYTES, Chunk};
use crate::splice::{SPLICE, SplicePipe};
use crate::stream::{ReadHalf, WriteHalf, chaos, reset_error};
use oneloop_core::{Direction, Done, Ready, Source};
use std::error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The number of full buffers in a row after which the stream counts as bulk data.
const FULL_READS: u8 = 2;
/// The number of bytes below which a copy is cheaper than a splice.
const SPLICED_BYTES_MIN: usize = 16 * 1024;

/// The end at which a copy failed, and the error.
#[derive(Debug)]
pub enum CopyError {
    /// Reading failed. The bytes that were read before are written, unless the other stream had no
    /// room when this one was reset.
    Read(io::Error),
    /// Writing failed. The bytes that were read and not written are lost; [`Copying::held`] is
    /// their number.
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

/// Options of a copy.
#[derive(Clone, Copy, Debug)]
pub struct CopyOptions {
    /// The number of bytes that may be read before they are written. The maximum and default is
    /// [`CHUNK_BYTES`]; with less, nothing is spliced.
    pub ahead_bytes_max: usize,
    /// Whether bulk data is moved by `splice(2)`; true by default. splice has no `MSG_NOSIGNAL`.
    /// Rust programs ignore `SIGPIPE`; a program that does not has to switch this off.
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

/// The bytes that were read and not written yet.
#[derive(Debug)]
enum Held {
    Nothing,
    Chunk { chunk: Chunk, written: usize },
    Pipe(SplicePipe),
}

/// A copy in progress, to be polled. It reads no faster than the other stream takes the bytes.
///
/// ```text
///           ┌─▶ messages: recv, then send, through a pooled chunk ─┐
///   from ───┤     │ two full chunks in a row    ▲                  ├──▶ to
///           │     ▼                             │ a splice of less │
///           └─▶ bulk: splice, twice, through a pipe   than 16 KiB ─┘
/// ```
///
/// A copy that waits for bytes holds neither a buffer nor a pipe. A copy that waits for room holds
/// the bytes that it has read, in a pipe or in memory of their size, and reads no more. A reset of
/// the stream that it reads ends it then, too, and the held bytes are lost: nothing says whether
/// the other stream will ever take them. A message costs two system calls. 64 KiB of bulk data also
/// cost two, and less processor time, as user space copies nothing.
///
/// The streams are not stored: each poll has to pass the same ones.
#[derive(Debug)]
pub struct Copying {
    options: CopyOptions,
    held: Held,
    /// The number of full buffers in a row, up to [`FULL_READS`].
    full_reads: u8,
    has_ended: bool,
    copied: u64,
    /// The target holds bytes back while the copy waits for more.
    is_flushing: bool,
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
            is_flushing: false,
            copied: 0,
        }
    }

    /// The number of bytes written so far.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// The number of bytes that were read and not written yet.
    pub fn held(&self) -> usize {
        match &self.held {
            Held::Nothing => 0,
            Held::Chunk { chunk, written } => chunk.len() - written,
            Held::Pipe(pipe) => pipe.bytes(),
        }
    }

    /// Changes [`CopyOptions::ahead_bytes_max`] for later reads.
    pub fn set_ahead_bytes_max(&mut self, bytes: usize) {
        self.options.ahead_bytes_max = bytes;
    }

    /// Stops reading, as if the stream had ended. Bytes already read are still written.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// True once nothing more is read: the stream has ended, or [`Copying::end`] was called.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Copies until the end, and returns the number of bytes.
    ///
    /// The copy may rest: while it is not polled, it keeps the bytes that were read and not
    /// written. Dropping it drops them; [`Copying::held`] is their number.
    ///
    /// # Errors
    /// Those of `recv(2)` and `send(2)`, with the end at which they occurred. A lack of fds for
    /// pipes is not an error.
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
            // Held bytes are written before the next read, which keeps their order and bounds their
            // number.
            match self.poll_write_held(cx, to) {
                Poll::Ready(written) => written.map_err(CopyError::Write)?,
                Poll::Pending => return self.poll_reset(cx, from).map(|e| Err(CopyError::Read(e))),
            }
            if self.has_ended {
                let flushed = ready!(to.poll_flush(cx)).map_err(CopyError::Write);
                return Poll::Ready(flushed.map(|()| self.copied));
            }
            match self.poll_hold(cx, from, splices) {
                Poll::Ready(held) => held.map_err(CopyError::Read)?,
                Poll::Pending => {
                    // The peer may wait for what a target that encrypts has held back.
                    let flushed = to.poll_flush(cx).map_err(CopyError::Write)?;
                    self.is_flushing = flushed.is_pending();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Watches for a reset while the copy waits for room and reads nothing (rule 3). After the end
    /// was read, the held bytes are complete, and a reset no longer matters: they are still
    /// written.
    fn poll_reset<R: ReadHalf + ?Sized>(&self, cx: &mut Context<'_>, from: &R) -> Poll<io::Error> {
        if self.has_ended {
            Poll::Pending
        } else {
            from.poll_reset(cx)
        }
    }

    /// True if the copy waits for bytes to read, and for nothing else.
    pub(crate) fn is_reading(&self) -> bool {
        !self.has_ended && self.held() == 0 && !self.is_flushing
    }

    /// Reads bytes, or the end.
    fn poll_hold<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        from: &R,
        splices: bool,
    ) -> Poll<io::Result<()>> {
        let bytes_max = self.options.ahead_bytes_max.clamp(1, CHUNK_BYTES);
        if splices && self.full_reads >= FULL_READS && bytes_max == CHUNK_BYTES {
            // A pipe is taken only once bytes have arrived: copies that wait hold no fds.
            ready!(from.source().poll_ready(cx, Direction::Read))?;
            let is_short = from.source().handle().chaos_pipe_shortage().is_err();
            if !is_short && let Some(pipe) = SplicePipe::take() {
                return self.poll_fill(cx, from, pipe);
            }
        }
        let Some(chunk) = ready!(from.poll_read_chunk(cx, bytes_max))? else {
            self.has_ended = true;
            return Poll::Ready(Ok(()));
        };
        self.full_reads = match chunk.len() {
            // One full chunk may be a large message. Two in a row are bulk data.
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
        let source = from.source();
        let filled = source.poll_io(cx, Direction::Read, |fd| {
            // pipe(7): 64 KiB are a pipe's default capacity.
            whole(pipe.fill(fd, chaos(source, CHUNK_BYTES)?)?)
        });
        match ready!(filled) {
            Ok(0) => self.has_ended = true,
            Ok(bytes) => {
                // A splice costs a pipe and page references, which pays only for many bytes.
                if bytes < SPLICED_BYTES_MIN {
                    self.full_reads = 0;
                }
                self.held = Held::Pipe(pipe);
            }
            // Nothing was moved, so the next read returns the same bytes.
            Err(error) if SPLICE.is_refused_by(&error) => self.options.splices = false,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the held bytes. Ready once all are written.
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
                    // The peer has no room, perhaps for long, and other copies can use the pooled
                    // buffer.
                    if polled.is_pending() && chunk.shrink_behind(*written) {
                        *written = 0;
                    }
                    let count = ready!(polled)?;
                    *written += count;
                    count
                }
                Held::Pipe(pipe) => {
                    let source = to.source();
                    let emptied = source.poll_io(cx, Direction::Write, |fd| {
                        whole(pipe.empty(fd, chaos(source, pipe.bytes())?)?)
                    });
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
            // The kernel never takes 0 of several bytes, but a stream of another crate may.
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.copied += count as u64;
        }
        self.held = Held::Nothing;
        Poll::Ready(Ok(()))
    }

    /// Moves the bytes in the pipe to a chunk, for a stream that takes no splice, and stops
    /// splicing.
    fn take_back(&mut self) -> io::Result<()> {
        self.options.splices = false;
        if let Held::Pipe(pipe) = std::mem::replace(&mut self.held, Held::Nothing) {
            let chunk = pipe.into_chunk()?;
            self.held = Held::Chunk { chunk, written: 0 };
        }
        Ok(())
    }
}

/// Reports a splice as complete: a short one does not mean that the stream is exhausted, as a short
/// `recv(2)` does. Only `EAGAIN` means that.
fn whole(bytes: usize) -> io::Result<Done<usize>> {
    Ok(Done::stream(bytes, bytes))
}

/// Copies all bytes of one stream to another one, and returns their number. The other stream is not
/// ended. A reset of either stream ends the copy at once, even while it waits for the other.
///
/// Not cancel safe: dropped, it has moved an unknown part, and the bytes that it had read and not
/// written, at most 64 KiB, are lost. To continue later, keep a [`Copying`] and poll it.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::{Shutdown, UnixStream, copy};
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
#[doc(alias = "splice")]
pub async fn copy<R, W>(from: &R, to: &W) -> io::Result<u64>
where
    R: ReadHalf + ?Sized,
    W: WriteHalf + ?Sized,
{
    let mut copying = Copying::new();
    let poll = |cx: &mut Context<'_>| match copying.poll(cx, from, to) {
        // Nothing is written while the copy waits for bytes, so the target is watched for its end.
        Poll::Pending if copying.is_reading() => {
            poll_gone(cx, to).map(|error| Err(CopyError::Write(error)))
        }
        polled => polled,
    };
    let copied = waits_on_two(from.source(), to.source(), poll);
    Ok(copied.await?)
}

/// Waits until a socket cannot be written any more, because its peer is gone or has reset the
/// connection. Only HUP is final: ERR alone can be a FIFO without readers, and readers may come
/// back.
fn poll_gone<W: WriteHalf + ?Sized>(cx: &mut Context<'_>, to: &W) -> Poll<io::Error> {
    let source = to.source();
    ready!(source.poll_watch(cx, Direction::Write, Ready::HANG_UP));
    Poll::Ready(match source.ready().contains(Ready::ERROR) {
        true => reset_error(source),
        false => io::ErrorKind::BrokenPipe.into(),
    })
}

/// Makes a future of a poll function that waits to read one source and to write another. Dropping
/// the future cancels both waits.
pub(crate) async fn waits_on_two<T>(
    from: &Source,
    to: &Source,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    // Two nested waits, each of which cancels its own direction when the future is dropped.
    let mut writes = to.io(Direction::Write, poll);
    from.io(Direction::Read, |cx| Pin::new(&mut writes).poll(cx))
        .await
}
