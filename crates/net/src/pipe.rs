//! Pipes and FIFOs: bytes go in at one end and come out at the other.

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

/// A new pipe: what is written into the one is read from the other.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_net::{ReadHalf, WriteHalf, pipe};
/// use std::future::poll_fn;
/// # fn main() -> std::io::Result<()> {
/// let mut event_loop = EventLoop::new()?;
/// let (reader, writer) = pipe(&event_loop.handle())?;
/// event_loop.block_on(async {
///     poll_fn(|cx| writer.poll_write(cx, b"hello")).await?;
///     let mut buf = [0; 16];
///     let count = poll_fn(|cx| reader.poll_read(cx, &mut buf)).await?;
///     assert_eq!(&buf[..count], b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// Those of `pipe2(2)`: `EMFILE`, `ENFILE`.
pub fn pipe(handle: &Handle) -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let reader = PipeReader::register(handle, reader)?;
    Ok((reader, PipeWriter::register(handle, writer)?))
}

/// The end of a pipe that bytes come out of, on a loop. Dropping it closes it; a write at the other end
/// is `EPIPE` then.
#[derive(Debug)]
pub struct PipeReader {
    source: Source,
}

impl PipeReader {
    /// Takes on the reading end of a pipe or FIFO, or a character device such as a terminal, of whose
    /// *open file description* nobody else makes use: it is made non-blocking, which others would see. The
    /// parent's end of a child's pipe is such a one; what a program was started with is not: see
    /// [`PipeReader::from_shared_fd`].
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is neither; `EPERM` for a device that is
    /// always ready, such as `/dev/null`; the fd is closed then.
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        check_type(&fd)?;
        set_nonblocking(&fd)?;
        PipeReader::register(handle, fd)
    }

    /// Reads from a pipe that other processes read from, or could, through the same open file
    /// description: standard input, above all. They may count on its blocking, so it is left as it is;
    /// the pipe is opened anew, through `/proc/self/fd`. The original stays the caller's.
    ///
    /// # Errors
    /// As [`PipeReader::from_fd`]; `EACCES` for a pipe of another user, and `ENOENT` without `/proc`.
    pub fn from_shared_fd(handle: &Handle, fd: impl AsFd) -> io::Result<Self> {
        PipeReader::register(handle, open_anew(fd.as_fd(), OFlags::RDONLY)?)
    }

    /// Opens a FIFO, and does not wait for a writer: reading does. When all writers have gone it is at
    /// its end, and goes on when another one writes.
    ///
    /// # Errors
    /// Those of `open(2)`: `ENOENT`, `EACCES`; and those of [`PipeReader::from_fd`].
    pub fn open(handle: &Handle, path: impl AsRef<Path>) -> io::Result<Self> {
        PipeReader::register(handle, open(path.as_ref(), OFlags::RDONLY)?)
    }

    fn register(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(handle, fd, Interest::READ, Ownership::Sole)?;
        // A terminal gives line by line; a pipe whose writer has set `O_DIRECT`, packet by packet, and
        // only the writer's fd tells of it.
        let source = source.reads_in_parts();
        Ok(PipeReader { source })
    }

    /// How many bytes are there to be read (`FIONREAD`).
    ///
    /// # Errors
    /// Those of `ioctl(2)`.
    pub fn unread_bytes(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(&self.source)?)
    }

    /// How many bytes the kernel holds of those that nobody has read yet (`F_GETPIPE_SZ`): mostly 65,536.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn capacity(&self) -> io::Result<usize> {
        Ok(fcntl_getpipe_size(&self.source)?)
    }

    /// Changes the capacity (`F_SETPIPE_SZ`), and gives what it is then: no less than was asked for.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: `EPERM` beyond `/proc/sys/fs/pipe-max-size`, `EBUSY` for less than is in it.
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        Ok(fcntl_setpipe_size(&self.source, bytes)?)
    }
}

/// The end of a pipe that bytes go into, on a loop. Dropping it closes it: once all writers are closed, the
/// reader comes to the end.
///
/// Writing when there is no reader any more is `EPIPE`. The kernel sends `SIGPIPE`, too, which Rust
/// programs ignore from their start on; one that has set it back to its default (or that is a library
/// in a program that is not Rust's) is ended by it.
#[derive(Debug)]
pub struct PipeWriter {
    source: Source,
}

impl PipeWriter {
    /// Takes on the writing end of a pipe or FIFO, or a character device, of whose open file description
    /// nobody else makes use: see [`PipeReader::from_fd`].
    ///
    /// # Errors
    /// As [`PipeReader::from_fd`].
    pub fn from_fd(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        check_type(&fd)?;
        set_nonblocking(&fd)?;
        PipeWriter::register(handle, fd)
    }

    /// Writes to a pipe that other processes write to through the same open file description, such as
    /// standard output: see [`PipeReader::from_shared_fd`].
    ///
    /// # Errors
    /// As [`PipeReader::from_shared_fd`].
    pub fn from_shared_fd(handle: &Handle, fd: impl AsFd) -> io::Result<Self> {
        PipeWriter::register(handle, open_anew(fd.as_fd(), OFlags::WRONLY)?)
    }

    /// Opens a FIFO that somebody reads.
    ///
    /// # Errors
    /// Those of `open(2)`: `ENXIO` while nobody does, `ENOENT`, `EACCES`; and those of
    /// [`PipeReader::from_fd`].
    pub fn open(handle: &Handle, path: impl AsRef<Path>) -> io::Result<Self> {
        PipeWriter::register(handle, open(path.as_ref(), OFlags::WRONLY)?)
    }

    /// Opens a FIFO, and waits until somebody reads it. Readers that open it meanwhile find a writer, and so
    /// do not wait for one. Cancel safe.
    ///
    /// Nothing is asked again and again: the kernel tells of each opening (`inotify(7)`), and whether there
    /// is a reader then (`POLLERR` says that there is none).
    ///
    /// # Errors
    /// Those of [`PipeWriter::open`], but for `ENXIO`; `EACCES` for a FIFO that may not be read, as it takes a
    /// reader to open it before there is one; `EMFILE` for too many inotify instances.
    pub async fn open_when_read(handle: &Handle, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let opened = Openings::watch(handle, path)?;
        // A FIFO that is open for both is opened at once, and lets us open it for writing.
        let both = open(path, OFlags::RDWR)?;
        let writer = open(path, OFlags::WRONLY)?;
        drop(both);
        let writer = PipeWriter::register(handle, writer)?;
        while !writer.has_reader()? {
            opened.next().await?;
        }
        Ok(writer)
    }

    fn register(handle: &Handle, fd: OwnedFd) -> io::Result<Self> {
        // Rule 7: OUT is asked for at the first EAGAIN.
        let source = Source::new(handle, fd, Interest::NONE, Ownership::Sole)?;
        source.assume_ready(Direction::Write);
        Ok(PipeWriter { source })
    }

    /// True while somebody has the reading end open; otherwise writing is `EPIPE`.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub fn has_reader(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.source, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default()))?;
        Ok(!fds[0].revents().contains(PollFlags::ERR)) // pipe(7): that is what it says without one
    }

    /// How many bytes the kernel takes before somebody has to read: see [`PipeReader::capacity`].
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

/// How often it is looked where inotify is refused.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Tells when a file is opened.
struct Openings {
    handle: Handle,
    /// None where inotify is refused.
    source: Option<Source>,
}

impl Openings {
    fn watch(handle: &Handle, path: &Path) -> io::Result<Self> {
        let source = match Openings::source(handle, path) {
            Err(error) if Refusal::of_error(&error) == Some(Refusal::Everywhere) => None,
            source => Some(source?),
        };
        let handle = handle.clone();
        Ok(Openings { handle, source })
    }

    fn source(handle: &Handle, path: &Path) -> io::Result<Source> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path, WatchFlags::OPEN)?;
        Source::new(handle, fd, Interest::READ, Ownership::Sole)
    }

    /// Waits for the next one, or for as long as it may go unnoticed; those that came since the last count
    /// as one.
    async fn next(&self) -> io::Result<()> {
        let Some(source) = &self.source else {
            self.handle.sleep(LOOK_AGAIN).await;
            return Ok(());
        };
        let mut events = [0; 4096];
        let mut read = |fd: BorrowedFd<'_>| Ok(Done::one(rustix::io::read(fd, &mut events)?));
        let poll = |cx: &mut Context<'_>| source.poll_io(cx, Direction::Read, &mut read);
        source.io(Direction::Read, poll).await.map(drop)
    }
}

/// With `O_NONBLOCK` opening does not wait for the other end. A terminal does not become ours.
fn open(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = fs::open(path, flags, Mode::empty())?;
    check_type(&fd)?;
    Ok(fd)
}

/// Another open file description of the same pipe.
pub(crate) fn open_anew(fd: BorrowedFd<'_>, access: OFlags) -> io::Result<OwnedFd> {
    open(
        Path::new(&format!("/proc/self/fd/{}", fd.as_raw_fd())),
        access,
    )
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = fs::fcntl_getfl(fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}

fn check_type(fd: &OwnedFd) -> io::Result<()> {
    match FileType::from_raw_mode(fs::fstat(fd)?.st_mode) {
        FileType::Fifo | FileType::CharacterDevice => Ok(()),
        FileType::Socket => Err(invalid("it is a socket: use Socket::from_fd")),
        _ => Err(invalid("it is neither a pipe nor a character device")),
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
