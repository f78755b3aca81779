//! Sending a part of a file to a stream by `sendfile(2)`, from the page cache to the socket.

use crate::buffer::{CHUNK_BYTES, Chunk};
use crate::stream::{WriteHalf, chaos};
use oneloop_core::{Class, Direction, Done, Handle, Offload};
use oneloop_posix::{Optional, PREADV2};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The maximum number of bytes for one system call, so that other tasks get their turn (rule 15).
const SENT_BYTES: u64 = 128 * 1024;
/// The number of bytes that are checked, and read from the disk, at once.
const WARMED_BYTES: u64 = 1024 * 1024;

/// `sendfile(2)`. Where it is refused, the file is read and written.
static SENDFILE: Optional = Optional::new();

/// A file that is being sent, to be polled.
///
/// ```text
///  check a megabyte ── cached ──▶ sendfile ── up to 128 KiB each ──▶ the next megabyte
///        │                            ▲  └─ refused ─▶ pread, then write
///        └─ not cached ─▶ a thread reads it
/// ```
///
/// A page that is not in the kernel's cache would block the loop until the disk delivers it. So the
/// first and the last page of each megabyte are checked first (two `preadv2(2)` calls with
/// `RWF_NOWAIT`), and a megabyte that is not cached is read on the worker pool. The loop still
/// blocks in two rare cases: the kernel may drop a page in between, and a file system that does not
/// support the check (`EOPNOTSUPP`) counts as fast.
#[derive(Debug)]
pub struct SendingFile {
    /// The offsets of the bytes that are not sent yet.
    range: Range<u64>,
    /// The offset up to which the file was found, or read, in the page cache.
    warm_until: u64,
    warming: Option<Offload<()>>,
    /// Bytes that were read for a stream that takes no sendfile.
    chunk: Option<Chunk>,
    /// The number of bytes of `chunk` that are written.
    written: usize,
    uses_sendfile: bool,
    sent: u64,
}

impl SendingFile {
    /// Prepares to send the bytes at these offsets; `0..u64::MAX` sends the whole file.
    pub fn new(range: Range<u64>) -> Self {
        SendingFile {
            warm_until: range.start,
            range,
            warming: None,
            chunk: None,
            written: 0,
            uses_sendfile: true,
            sent: 0,
        }
    }

    /// The number of bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until the end of the range or of the file, and returns the number of bytes. It is
    /// smaller than the range if the file is shorter, or was truncated meanwhile.
    ///
    /// It may rest: nothing is lost while it is not polled. The file's own offset is neither used
    /// nor moved.
    ///
    /// # Errors
    /// Those of `sendfile(2)`, `pread(2)` and `send(2)`: `EIO`, `EPIPE`, `ECONNRESET`.
    pub fn poll<W>(&mut self, cx: &mut Context<'_>, file: &File, to: &W) -> Poll<io::Result<u64>>
    where
        W: WriteHalf + ?Sized,
    {
        loop {
            // Bytes that were read before come first. With sendfile there are none.
            ready!(self.poll_write_chunk(cx, to))?;
            if self.range.is_empty() {
                return Poll::Ready(Ok(self.sent));
            }
            ready!(self.poll_warm(cx, file, to.source().handle()))?;
            // A stream that encrypts needs the bytes in user space.
            let sends = self.uses_sendfile && to.is_spliced() && SENDFILE.is_available();
            let count = if sends {
                ready!(self.poll_sendfile(cx, file, to))?
            } else {
                self.read_chunk(file)?
            };
            match count {
                Some(0) => return Poll::Ready(Ok(self.sent)), // the end of the file
                Some(count) => self.range.start += count,
                None => self.uses_sendfile = false,
            }
        }
    }

    /// Returns the number of bytes sent; `None` if the kernel cannot send from such a file, or to
    /// such a stream.
    fn poll_sendfile<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        to: &W,
    ) -> Poll<io::Result<Option<u64>>> {
        let wanted = self.left_at_most(SENT_BYTES);
        let start = self.range.start;
        let sent = to.source().poll_io(cx, Direction::Write, |fd| {
            // sendfile(2): with an offset argument the file's own position is neither used nor
            // moved.
            let wanted = chaos(to.source(), wanted)?;
            let bytes = rustix::fs::sendfile(fd, file, Some(&mut { start }), wanted)?;
            // A short count may be due to the file, so it does not mean that the stream is full.
            Ok(Done::stream(bytes, bytes))
        });
        Poll::Ready(match ready!(sent) {
            Ok(bytes) => {
                self.sent += bytes as u64;
                Ok(Some(bytes as u64))
            }
            Err(error) if SENDFILE.is_refused_by(&error) => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn left_at_most(&self, bytes_max: u64) -> usize {
        let left = self.range.end - self.range.start;
        usize::try_from(left.min(bytes_max)).unwrap_or(usize::MAX)
    }

    fn read_chunk(&mut self, file: &File) -> io::Result<Option<u64>> {
        let mut chunk = Chunk::take();
        let wanted = self.left_at_most(CHUNK_BYTES as u64);
        let space = &mut chunk.space()[..wanted];
        let bytes = retry_on_intr(|| pread(file, &mut *space, self.range.start))?;
        // Kept across polls: a stream without room takes the bytes later, and they are read once.
        (self.chunk, self.written) = (Some(chunk.filled(bytes)), 0);
        Ok(Some(bytes as u64))
    }

    /// Writes the bytes that were read. Ready once all are written.
    fn poll_write_chunk<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        to: &W,
    ) -> Poll<io::Result<()>> {
        while let Some(chunk) = &self.chunk {
            if self.written == chunk.len() {
                self.chunk = None;
                break;
            }
            let count = ready!(to.poll_write(cx, &chunk[self.written..]))?;
            self.written += count;
            self.sent += count as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the next bytes are in the page cache, as far as the kernel can tell.
    fn poll_warm(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        handle: &Handle,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(warming) = &mut self.warming {
                let _ = ready!(Pin::new(warming).poll(cx)); // an error recurs in the next read
                self.warming = None;
            }
            if self.range.start < self.warm_until {
                return Poll::Ready(Ok(()));
            }
            let start = self.range.start;
            self.warm_until = start.saturating_add(WARMED_BYTES).min(self.range.end);
            // Two probes stand for the whole megabyte: the kernel reads ahead in runs, so a gap is
            // rare.
            if is_cold(file, start)? || is_cold(file, self.warm_until - 1)? {
                // The job gets a duplicate, because the caller may drop its file before the thread
                // is done.
                self.warming = Some(warm(handle, file.try_clone()?, start..self.warm_until));
            }
        }
    }
}

/// Reads a part of a file on another thread, which leaves it in the page cache.
fn warm(handle: &Handle, file: File, range: Range<u64>) -> Offload<()> {
    handle.offload_to(Class::Fs, move || {
        // posix_fadvise(2) with WILLNEED only starts the reads, so nothing would tell when they are
        // done.
        let mut buf = vec![0; CHUNK_BYTES];
        let mut offset = range.start;
        while offset < range.end {
            match file.read_at(&mut buf, offset) {
                Ok(0) | Err(_) => break,
                Ok(count) => offset += count as u64,
            }
        }
    })
}

/// True if reading the byte at this offset would wait for the disk.
fn is_cold(file: &File, offset: u64) -> io::Result<bool> {
    if !PREADV2.is_available() {
        return Ok(false);
    }
    let mut byte = [0];
    let mut bufs = [IoSliceMut::new(&mut byte)];
    // preadv2(2): with RWF_NOWAIT a read that would wait for the disk fails with EAGAIN. A byte is
    // enough to learn that of its page.
    match retry_on_intr(|| preadv2(file, &mut bufs, offset, ReadWriteFlags::NOWAIT)) {
        Ok(_) => Ok(false),
        Err(Errno::AGAIN) => Ok(true),
        Err(error) if PREADV2.is_refused_by(&error.into()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sends the bytes of a file at these offsets; `0..u64::MAX` sends the whole file. Returns the
/// number of bytes, which is smaller than the range if the file is shorter.
///
/// Not cancel safe: dropped, it has sent an unknown part. To continue later, keep a [`SendingFile`]
/// and poll it.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::{UnixStream, send_file};
/// use std::fs::File;
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let (a, b) = UnixStream::pair()?;
///     let file = File::open("Cargo.toml")?;
///     assert_eq!(send_file(&file, 0..9, &a).await?, 9);
///     assert_eq!(&*b.read_chunk().await?.unwrap(), b"[package]");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// As [`SendingFile::poll`].
#[doc(alias("uv_fs_sendfile", "TransmitFile"))]
pub async fn send_file<W>(file: &File, range: Range<u64>, to: &W) -> io::Result<u64>
where
    W: WriteHalf + ?Sized,
{
    let mut sending = SendingFile::new(range);
    let sent = to
        .source()
        .io(Direction::Write, |cx| sending.poll(cx, file, to));
    sent.await
}
