//! A part of a file to a stream, by `sendfile(2)`: the bytes go from the page cache to the socket.

use crate::buffer::{CHUNK_BYTES, Chunk};
use crate::stream::WriteHalf;
use oneloop_core::{Class, Direction, Done, Handle, Offload};
use oneloop_posix::Optional;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// So much is sent by one system call, so that others have their turn.
const SENT_BYTES: u64 = 128 * 1024;
/// So much of a file is looked at, and read from the disk, at once.
const WARMED_BYTES: u64 = 1024 * 1024;

/// `sendfile(2)`: where it is refused, the file is read and written.
static SENDFILE: Optional = Optional::new();
/// `preadv2(2)`: where it is refused, nothing can tell whether a read waits for the disk.
static PREADV2: Optional = Optional::new();

/// A file that is being sent.
///
/// A page that is not in the kernel's cache would block the loop until the disk has given it. So
/// each megabyte is looked at before (two `preadv2(2)` with `RWF_NOWAIT`), and what is not there is
/// read on the worker pool. The kernel may drop a page in between, and a file system that cannot
/// tell (`EOPNOTSUPP`) is taken for fast: then the loop does wait.
#[derive(Debug)]
pub struct SendingFile {
    /// What is left.
    range: Range<u64>,
    /// Up to here it is in the page cache.
    warm_until: u64,
    warming: Option<Offload<()>>,
    /// What was read for a stream that takes no sendfile, and how much of it is written.
    chunk: Option<Chunk>,
    written: usize,
    uses_sendfile: bool,
    sent: u64,
}

impl SendingFile {
    /// A file that is to be sent from one offset up to another; `0..u64::MAX` is all of it.
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

    /// How many bytes were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until the end of the range or of the file; gives how many bytes it were. If these are
    /// fewer than were asked for, the file is shorter, be it that it has become so meanwhile.
    ///
    /// Nothing is lost when it is not polled for a while. The file's own offset is neither used nor
    /// moved.
    ///
    /// # Errors
    /// Those of `sendfile(2)`, `pread(2)` and `send(2)`: `EIO`, `EPIPE`, `ECONNRESET`.
    pub fn poll<W>(&mut self, cx: &mut Context<'_>, file: &File, to: &W) -> Poll<io::Result<u64>>
    where
        W: WriteHalf + ?Sized,
    {
        loop {
            ready!(self.poll_write_chunk(cx, to))?;
            if self.range.is_empty() {
                return Poll::Ready(Ok(self.sent));
            }
            ready!(self.poll_warm(cx, file, to.source().handle()))?;
            let sends = self.uses_sendfile && to.is_spliced() && SENDFILE.is_available();
            let count = if sends {
                ready!(self.poll_sendfile(cx, file, to))?
            } else {
                self.read_chunk(file)?
            };
            match count {
                Some(0) => return Poll::Ready(Ok(self.sent)), // the file has ended
                Some(count) => self.range.start += count,
                None => self.uses_sendfile = false,
            }
        }
    }

    /// How many bytes were sent; none if the kernel does not send from such a file, or to such a
    /// stream.
    fn poll_sendfile<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        to: &W,
    ) -> Poll<io::Result<Option<u64>>> {
        let wanted = self.left_at_most(SENT_BYTES);
        let start = self.range.start;
        let sent = to.source().poll_io(cx, Direction::Write, |fd| {
            let bytes = rustix::fs::sendfile(fd, file, Some(&mut { start }), wanted)?;
            Ok(Done::stream(bytes, bytes)) // it does not tell which of them had no more
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
        (self.chunk, self.written) = (Some(chunk.filled(bytes)), 0);
        Ok(Some(bytes as u64))
    }

    /// Ready once nothing that was read waits.
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

    /// Ready once what comes next is in the page cache, as far as one can know.
    fn poll_warm(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        handle: &Handle,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(warming) = &mut self.warming {
                let _ = ready!(Pin::new(warming).poll(cx)); // what failed is told by the next read
                self.warming = None;
            }
            if self.range.start < self.warm_until {
                return Poll::Ready(Ok(()));
            }
            let start = self.range.start;
            self.warm_until = start.saturating_add(WARMED_BYTES).min(self.range.end);
            if is_cold(file, start)? || is_cold(file, self.warm_until - 1)? {
                self.warming = Some(warm(handle, file.try_clone()?, start..self.warm_until));
            }
        }
    }
}

/// Has another thread read a part of a file, so that it is in the page cache then.
fn warm(handle: &Handle, file: File, range: Range<u64>) -> Offload<()> {
    handle.offload_to(Class::Fs, move || {
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

/// True if reading that byte would wait for the disk.
fn is_cold(file: &File, offset: u64) -> io::Result<bool> {
    if !PREADV2.is_available() {
        return Ok(false);
    }
    let mut byte = [0];
    let mut bufs = [IoSliceMut::new(&mut byte)];
    match retry_on_intr(|| preadv2(file, &mut bufs, offset, ReadWriteFlags::NOWAIT)) {
        Ok(_) => Ok(false),
        Err(Errno::AGAIN) => Ok(true),
        Err(error) if PREADV2.is_refused_by(&error.into()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sends a file from one offset up to another; `0..u64::MAX` is all of it. Gives how many bytes it
/// were: fewer than were asked for if the file is shorter.
///
/// Not cancel safe: dropped, it has sent an unknown part. To go on later, keep a [`SendingFile`]
/// and poll that.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_net::{UnixStream, send_file};
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
