//! Pipes and FIFOs, each end on a loop.

use crate::stream::{AsSource, ReadHalf, WriteHalf};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use oneloop_posix::Refusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::task::Context;
use std::time::Duration;

/// A new pipe: the bytes that are written to the writer are read from the reader.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::pipe;
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let (reader, writer) = pipe()?;
///     writer.write_all(b"hello").await?;
///     drop(writer);
///     assert_eq!(&*reader.read_chunk().await?.unwrap(), b"hello");
///     assert!(reader.read_chunk().await?.is_none());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// Those of `pipe2(2)`: `EMFILE`, `ENFILE`.
///
/// # Panics
/// Outside a loop.
#[doc(alias("uv_pipe", "mkfifo"))]
#[track_caller]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    Handle::current().chaos_pipe_shortage()?;
    // Both descriptions are new, so making them non-blocking concerns no other process.
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let reader = PipeReader::register(reader)?;
    Ok((reader, PipeWriter::register(writer)?))
}

/// The reading end of a pipe, on a loop. Dropping it closes it; a write at the other end then fails
/// with `EPIPE`.
#[derive(Debug)]
pub struct PipeReader {
    source: Source,
}

impl PipeReader {
    /// Puts the reading end of a pipe or FIFO, or a character device such as a terminal, on the
    /// current loop. No other process may use its *open file description*: this makes it
    /// non-blocking, which others would notice. The parent's end of a child's pipe qualifies; the
    /// standard input of a program does not: see [`PipeReader::from_shared_fd`].
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for any other kind of file; `EPERM` for a
    /// device that is always ready, such as `/dev/null`. The fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        check_type(&fd)?;
        set_nonblocking(&fd)?;
        PipeReader::register(fd)
    }

    /// Reads from a pipe whose open file description other processes may use, such as standard
    /// input. They may rely on its blocking, so it stays unchanged: the pipe is reopened through
    /// `/proc/self/fd`. The caller keeps the original.
    ///
    /// # Errors
    /// As [`PipeReader::from_fd`]; `EACCES` for a pipe of another user, and `ENOENT` without
    /// `/proc`.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_shared_fd(fd: impl AsFd) -> io::Result<Self> {
        PipeReader::register(reopen(fd.as_fd(), OFlags::RDONLY)?)
    }

    /// Opens a FIFO without waiting for a writer; a read waits for one. When all writers are gone,
    /// reads return the end. They return bytes again once another writer writes.
    ///
    /// # Errors
    /// Those of `open(2)`: `ENOENT`, `EACCES`; and those of [`PipeReader::from_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        PipeReader::register(open(path.as_ref(), OFlags::RDONLY)?)
    }

    #[track_caller]
    fn register(fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        // A short read does not mean that the pipe is empty: a terminal returns one line at a time,
        // and a pipe whose writer has set `O_DIRECT` one packet (pipe(7)). Only the writer's fd has
        // that flag.
        let source = source.reads_in_parts();
        Ok(PipeReader { source })
    }

    /// The number of bytes in the pipe (`FIONREAD`).
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn unread_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.source)?)
    }

    /// The number of unread bytes that the kernel can hold (`F_GETPIPE_SZ`): 65,536 by default.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn capacity(&self) -> io::Result<usize> {
        Ok(fcntl_getpipe_size(&self.source)?)
    }

    /// Changes the capacity (`F_SETPIPE_SZ`). Returns the new one, which is at least `bytes`.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: `EPERM` beyond `/proc/sys/fs/pipe-max-size`, `EBUSY` for fewer bytes
    /// than the pipe holds.
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        Ok(fcntl_setpipe_size(&self.source, bytes)?)
    }
}

/// The writing end of a pipe, on a loop. Dropping it closes it; the reader gets the end once all
/// writers are closed.
///
/// A write without a reader fails with `EPIPE`. The kernel also sends `SIGPIPE`, as `write(2)` has
/// no `MSG_NOSIGNAL`. Rust programs ignore that signal from their start. It ends a program that has
/// restored the default action, and one in another language that uses this crate as a library.
#[derive(Debug)]
pub struct PipeWriter {
    source: Source,
}

impl PipeWriter {
    /// Puts the writing end of a pipe or FIFO, or a character device, on the current loop. No other
    /// process may use its open file description: see [`PipeReader::from_fd`].
    ///
    /// # Errors
    /// As [`PipeReader::from_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        check_type(&fd)?;
        set_nonblocking(&fd)?;
        PipeWriter::register(fd)
    }

    /// Writes to a pipe whose open file description other processes may use, such as standard
    /// output: see [`PipeReader::from_shared_fd`].
    ///
    /// # Errors
    /// As [`PipeReader::from_shared_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_shared_fd(fd: impl AsFd) -> io::Result<Self> {
        PipeWriter::register(reopen(fd.as_fd(), OFlags::WRONLY)?)
    }

    /// Opens a FIFO that has a reader.
    ///
    /// # Errors
    /// Those of `open(2)`: `ENXIO` while the FIFO has no reader, `ENOENT`, `EACCES`; and those of
    /// [`PipeReader::from_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        PipeWriter::register(open(path.as_ref(), OFlags::WRONLY)?)
    }

    /// Opens a FIFO and waits for a reader. A reader that opens it meanwhile finds a writer, so its
    /// open does not block. Cancel safe.
    ///
    /// The wait does not poll: the kernel reports each opening (`inotify(7)`), and `POLLERR` says
    /// whether the FIFO still has no reader.
    ///
    /// # Errors
    /// Those of [`PipeWriter::open`] except `ENXIO`; `EACCES` for a FIFO that this process may not
    /// read, because opening it before there is a reader takes a reader; `EMFILE` for too many
    /// inotify instances.
    pub async fn open_when_read(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        // The watch comes first: a reader that opens between the check and the watch would go
        // unnoticed.
        let openings = Openings::watch(path)?;
        // fifo(7): on Linux, opening a FIFO for both succeeds at once, and it is a reader for our
        // writer.
        let both = open(path, OFlags::RDWR)?;
        let writer = open(path, OFlags::WRONLY)?;
        drop(both);
        let writer = PipeWriter::register(writer)?;
        while !writer.has_reader()? {
            openings.next().await?;
        }
        Ok(writer)
    }

    #[track_caller]
    fn register(fd: OwnedFd) -> io::Result<Self> {
        // Rule 7: OUT is requested at the first EAGAIN.
        let source = Source::new(&Handle::current(), fd, Interest::NONE, Ownership::Sole)?;
        source.assume_ready(Direction::Write);
        Ok(PipeWriter { source })
    }

    /// True while a reading end is open. Without one, a write fails with `EPIPE`.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub fn has_reader(&self) -> io::Result<bool> {
        // The loop has no event for this: it reports only the fds for which a task waits.
        let mut fds = [PollFd::new(&self.source, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default()))?;
        // poll(2): POLLERR is set for the writing end when the reading end has been closed.
        Ok(!fds[0].revents().contains(PollFlags::ERR))
    }

    /// The number of bytes that the kernel takes before a reader has to read: see
    /// [`PipeReader::capacity`].
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn capacity(&self) -> io::Result<usize> {
        Ok(fcntl_getpipe_size(&self.source)?)
    }

    /// Changes the capacity: see [`PipeReader::set_capacity`].
    ///
    /// # Errors
    /// As [`PipeReader::set_capacity`].
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        Ok(fcntl_setpipe_size(&self.source, bytes)?)
    }
}

impl AsSource for PipeReader {
    fn source(&self) -> &Source {
        &self.source
    }
}

impl AsSource for PipeWriter {
    fn source(&self) -> &Source {
        &self.source
    }
}

impl ReadHalf for PipeReader {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.source, buf)?)
    }

    fn is_spliced(&self) -> bool {
        true
    }
}

impl WriteHalf for PipeWriter {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.source, buf)?)
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(&self.source, bufs)?)
    }

    fn end(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_spliced(&self) -> bool {
        true
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsFd for PipeWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// The pause between two checks for a reader where a sandbox refuses inotify.
const RECHECK: Duration = Duration::from_millis(20);

/// A watch on a path that reports when a process opens the file.
struct Openings {
    /// The inotify instance; none where a sandbox refuses inotify.
    source: Option<Source>,
}

impl Openings {
    fn watch(path: &Path) -> io::Result<Self> {
        let source = match Openings::source(path) {
            // A sandbox without inotify costs some system calls per second, and not the function.
            Err(error) if Refusal::of_error(&error) == Some(Refusal::Everywhere) => None,
            source => Some(source?),
        };
        Ok(Openings { source })
    }

    #[track_caller]
    fn source(path: &Path) -> io::Result<Source> {
        Handle::current().chaos_file_shortage()?;
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path, WatchFlags::OPEN)?;
        Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)
    }

    /// Waits for the next opening; those since the last call count as one. Without inotify, it
    /// waits for [`RECHECK`].
    async fn next(&self) -> io::Result<()> {
        let Some(source) = &self.source else {
            Handle::current().sleep(RECHECK).await;
            return Ok(());
        };
        // inotify(7): a read needs room for the largest event, `sizeof(struct inotify_event) +
        // NAME_MAX + 1`.
        let mut events = [0; 4096];
        let mut read = |fd: BorrowedFd<'_>| Ok(Done::one(rustix::io::read(fd, &mut events)?));
        let poll = |cx: &mut Context<'_>| source.poll_io(cx, Direction::Read, &mut read);
        source.io(Direction::Read, poll).await.map(drop)
    }
}

/// Opens a pipe or device. With `O_NONBLOCK` the call does not wait for the other end (fifo(7)),
/// and with `O_NOCTTY` a terminal does not become the controlling terminal of this process.
fn open(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    if let Some(handle) = Handle::try_current() {
        handle.chaos_file_shortage()?;
    }
    let fd = fs::open(path, flags, Mode::empty())?;
    // After the open, because the file could be replaced between a stat(2) and the open.
    check_type(&fd)?;
    Ok(fd)
}

/// Opens another open file description of the same pipe.
pub(crate) fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> io::Result<OwnedFd> {
    // dup(2) would share the description, and with it O_NONBLOCK.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(Path::new(&path), access)
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = fs::fcntl_getfl(fd)?;
    // Most fds of pipes are non-blocking already, and then this costs one call instead of two.
    if !flags.contains(OFlags::NONBLOCK) {
        fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}

fn check_type(fd: &OwnedFd) -> io::Result<()> {
    match FileType::from_raw_mode(fs::fstat(fd)?.st_mode) {
        FileType::Fifo | FileType::CharacterDevice => Ok(()),
        // A socket would work, but write(2) to it could raise SIGPIPE.
        FileType::Socket => Err(invalid("it is a socket: use Socket::from_fd")),
        _ => Err(invalid("it is neither a pipe nor a character device")),
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
