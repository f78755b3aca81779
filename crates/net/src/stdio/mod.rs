//! Any fd as bytes to read or to write, standard input and output above all: never in the loop's
//! way, and left as it was.
//!
//! What a program was started with it shares with others, with the shell above all. `O_NONBLOCK`
//! would be theirs as well: it belongs to the open file description, and stays when the program
//! ends. So:
//!
//! | what it is | how it is read and written |
//! |---|---|
//! | a terminal, a pipe | opened anew through `/proc/self/fd`, non-blocking; the original stays as it is |
//! | the same, where that may not be (another user's) | once it is ready, with `RWF_NOWAIT` or a look just before |
//! | a socket | with `MSG_DONTWAIT` |
//! | a file, `/dev/null` | by a thread for files, at the position that it shares with others |
//! | closed (a standard one) | there is nothing to read, and what is written vanishes, as in the standard library |

mod jobs;

use self::jobs::{Jobs, Shared, always_ready};
use crate::pipe::{PipeReader, PipeWriter};
use crate::stream::{AsSource, ReadHalf, WriteHalf};
use crate::tty::{RawMode, WindowSize, is_tty, window_size};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use oneloop_posix::Optional;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, fcntl_dupfd_cloexec, preadv2, pwritev2};
use rustix::net::{RecvFlags, SendFlags, Shutdown, shutdown};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

/// What an [`Input`] or [`Output`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdioKind {
    /// A terminal.
    Tty,
    /// A pipe or FIFO.
    Pipe,
    /// A socket, as inetd gives.
    Socket,
    /// A file, or a device.
    File,
    /// There is none.
    Closed,
}

impl StdioKind {
    fn of(fd: &OwnedFd) -> io::Result<Self> {
        if is_tty(fd) {
            return Ok(StdioKind::Tty);
        }
        Ok(match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::Fifo => StdioKind::Pipe,
            FileType::Socket => StdioKind::Socket,
            _ => StdioKind::File,
        })
    }
}

/// Bytes to read from an fd, whatever it is: [`Input::from_fd`], and the standard input, [`stdin`].
///
/// Reading is cancel safe: a byte belongs to whoever reads next, also when a thread had begun to
/// read it for somebody who gave up. A read of a file keeps the loop alive until the thread that
/// has begun it is done.
#[derive(Debug)]
pub struct Input {
    kind: StdioKind,
    way: Way<PipeReader>,
}

/// An fd to write bytes to, whatever it is: [`Output::from_fd`], and the standard output and error,
/// [`stdout`] and [`stderr`].
///
/// A file is written by a thread, behind the caller's back: an error is told by the next write or
/// by the flush, and all that was taken is written by the time that the loop is dropped. So a write
/// is cancel safe there, too.
#[derive(Debug)]
pub struct Output {
    kind: StdioKind,
    way: Way<PipeWriter>,
    is_standard: bool,
}

/// The standard input: see [`stdin`].
pub type Stdin = Input;

/// The standard output: see [`stdout`].
pub type Stdout = Output;

/// The standard error: see [`stderr`].
pub type Stderr = Output;

/// The standard input, on a loop. It does not know what `std::io::stdin` has read ahead.
///
/// # Errors
/// `EMFILE`, and those of `epoll_ctl(2)`.
pub fn stdin() -> io::Result<Input> {
    let (kind, way) = Way::standard(0, |fd| PipeReader::from_shared_fd(fd))?;
    Ok(Input { kind, way })
}

/// The standard output, on a loop. Nothing is held back: lines of `println!` come in between where
/// they are printed.
///
/// # Errors
/// `EMFILE`, and those of `epoll_ctl(2)`.
pub fn stdout() -> io::Result<Output> {
    Output::standard(1)
}

/// The standard error, on a loop: see [`stdout`].
///
/// # Errors
/// As [`stdout`].
pub fn stderr() -> io::Result<Output> {
    Output::standard(2)
}

/// How something is read or written.
#[derive(Debug)]
enum Way<P> {
    /// Opened anew: an open file description of our own.
    Own(P),
    Socket(Source),
    /// It can be waited for, but others may be at it as well.
    Careful(Source),
    Jobs(Jobs),
    /// It is closed.
    Nothing(Source),
}

impl<P: AsSource> Way<P> {
    fn standard(
        number: usize,
        reopen: impl FnOnce(&OwnedFd) -> io::Result<P>,
    ) -> io::Result<(StdioKind, Self)> {
        let duplicate = match number {
            0 => fcntl_dupfd_cloexec(io::stdin(), 3),
            1 => fcntl_dupfd_cloexec(io::stdout(), 3),
            _ => fcntl_dupfd_cloexec(io::stderr(), 3),
        };
        match duplicate {
            Ok(fd) => Way::find(Shared::standard(number), fd, reopen),
            Err(Errno::BADF) => Ok((StdioKind::Closed, Way::Nothing(always_ready()?))),
            Err(error) => Err(error.into()),
        }
    }

    fn find(
        of_jobs: Arc<Shared>,
        fd: OwnedFd,
        reopen: impl FnOnce(&OwnedFd) -> io::Result<P>,
    ) -> io::Result<(StdioKind, Self)> {
        let kind = StdioKind::of(&fd)?;
        let way = match kind {
            StdioKind::Socket => Way::Socket(shared(fd)?),
            StdioKind::Tty | StdioKind::Pipe if !is_pty_master(&fd) => match reopen(&fd) {
                Ok(own) => Way::Own(own),
                Err(_) => Way::Careful(shared(fd)?),
            },
            _ => match shared(fd.try_clone()?) {
                Ok(source) => Way::Careful(source),
                // epoll(7): a file that is always ready.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                    Way::Jobs(Jobs::new(of_jobs, fd)?)
                }
                Err(error) => return Err(error),
            },
        };
        Ok((kind, way))
    }

    fn source(&self) -> &Source {
        match self {
            Way::Own(own) => own.source(),
            Way::Socket(source) | Way::Careful(source) | Way::Nothing(source) => source,
            Way::Jobs(jobs) => jobs.done(),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Way::Jobs(jobs) => jobs.as_fd(),
            other => other.source().as_fd(),
        }
    }
}

/// An fd whose open file description belongs to others, too.
fn shared(fd: OwnedFd) -> io::Result<Source> {
    Source::new(&Handle::current(), fd, Interest::NONE, Ownership::Shared)
}

/// To open a master anew would make another pseudo-terminal: pts(4).
fn is_pty_master(fd: &OwnedFd) -> bool {
    rustix::pty::ptsname(fd, Vec::new()).is_ok()
}

/// The kernel's word for "at the position that the open file description has".
const CURRENT_POSITION: u64 = u64::MAX;

/// What a pipe that is ready takes without blocking (`PIPE_BUF`), and a terminal mostly.
const CAREFUL_BYTES: usize = 4096;

/// `preadv2(2)` and `pwritev2(2)`: where they are refused, a look goes before each read and write.
static PREADV2: Optional = Optional::new();
static PWRITEV2: Optional = Optional::new();

/// Reads what is there. Where the kernel cannot be told not to wait, it could, if somebody else
/// took the bytes just now.
fn read_carefully(fd: &Source, buf: &mut [u8]) -> io::Result<usize> {
    if PREADV2.is_available() {
        let bufs = &mut [IoSliceMut::new(buf)];
        match preadv2(fd, bufs, CURRENT_POSITION, ReadWriteFlags::NOWAIT) {
            Err(error) if PREADV2.is_refused_by(&error.into()) => {}
            read => return Ok(read?),
        }
    }
    check_ready(fd, PollFlags::IN)?;
    Ok(rustix::io::read(fd, buf)?)
}

/// Writes what the kernel takes: see [`read_carefully`].
fn write_carefully(fd: &Source, buf: &[u8]) -> io::Result<usize> {
    if PWRITEV2.is_available() {
        let bufs = &[IoSlice::new(buf)];
        match pwritev2(fd, bufs, CURRENT_POSITION, ReadWriteFlags::NOWAIT) {
            Err(error) if PWRITEV2.is_refused_by(&error.into()) => {}
            written => return Ok(written?),
        }
    }
    check_ready(fd, PollFlags::OUT)?;
    let part = &buf[..buf.len().min(CAREFUL_BYTES)];
    Ok(rustix::io::write(fd, part)?)
}

fn check_ready(fd: &Source, flags: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::new(fd, flags)];
    match poll(&mut fds, Some(&Timespec::default()))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

fn wait_until_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(&fd, flags)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Input {
    /// Reads from an fd: the end of a pipe, a FIFO, a terminal, a socket, a file from where its
    /// position is, a device. Its flags stay as they are, so it may well be shared with others.
    ///
    /// ```
    /// use oneloop_core::EventLoop;
    /// use oneloop_net::Input;
    /// use std::io::Write;
    /// # fn main() -> std::io::Result<()> {
    /// EventLoop::new()?.block_on(async {
    ///     let (reader, mut writer) = std::io::pipe()?;
    ///     let input = Input::from_fd(reader.into())?;
    ///     writer.write_all(b"hello")?;
    ///     assert_eq!(&*input.read_chunk().await?.unwrap(), b"hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// What a thread has read of a file for somebody who gave up is lost when this is dropped: the
    /// file's position is behind it then.
    ///
    /// # Errors
    /// `EMFILE`, and those of `epoll_ctl(2)`; the fd is closed then.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let (kind, way) = Way::find(Arc::default(), fd, |fd| PipeReader::from_shared_fd(fd))?;
        Ok(Input { kind, way })
    }

    /// What it is.
    pub fn kind(&self) -> StdioKind {
        self.kind
    }

    /// True if it is a terminal.
    pub fn is_tty(&self) -> bool {
        self.kind == StdioKind::Tty
    }

    /// Puts the terminal into raw mode while the guard lives: see [`RawMode`].
    ///
    /// # Errors
    /// `ENOTTY` if it is none.
    pub fn raw_mode(&self) -> io::Result<RawMode> {
        RawMode::enter(self)
    }
}

impl From<PipeReader> for Input {
    fn from(pipe: PipeReader) -> Self {
        Input {
            kind: StdioKind::Pipe,
            way: Way::Own(pipe),
        }
    }
}

impl AsSource for Input {
    fn source(&self) -> &Source {
        self.way.source()
    }
}

impl ReadHalf for Input {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.way {
            Way::Own(pipe) => pipe.read_once(buf),
            Way::Socket(socket) => {
                let (count, _) = rustix::net::recv(socket, buf, RecvFlags::DONTWAIT)?;
                Ok(count)
            }
            Way::Careful(source) => read_carefully(source, buf),
            Way::Jobs(jobs) => jobs.read_once(buf),
            Way::Nothing(_) => Ok(0),
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.way.as_fd()
    }
}

impl Output {
    /// Writes to an fd, whatever it is: see [`Input::from_fd`]. To drop this closes it, which is
    /// the end for a pipe's reader; `end` shuts a socket down for writing.
    ///
    /// # Errors
    /// As [`Input::from_fd`].
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let (kind, way) = Way::find(Arc::default(), fd, |fd| PipeWriter::from_shared_fd(fd))?;
        Ok(Output {
            kind,
            way,
            is_standard: false,
        })
    }

    fn standard(number: usize) -> io::Result<Self> {
        let (kind, way) = Way::standard(number, |fd| PipeWriter::from_shared_fd(fd))?;
        Ok(Output {
            kind,
            way,
            is_standard: true,
        })
    }

    /// What it is.
    pub fn kind(&self) -> StdioKind {
        self.kind
    }

    /// True if it is a terminal.
    pub fn is_tty(&self) -> bool {
        self.kind == StdioKind::Tty
    }

    /// Writes all of it, and blocks until it is with the kernel: for what is about to end the
    /// process.
    ///
    /// # Errors
    /// Those of `write(2)`: `EPIPE`, `ENOSPC`.
    pub fn write_all_blocking(&self, mut buf: &[u8]) -> io::Result<()> {
        if let Way::Jobs(jobs) = &self.way {
            return jobs.write_all_blocking(buf);
        }
        while !buf.is_empty() {
            match self.write_once(buf) {
                Ok(count) => buf = &buf[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_until_ready(self.way.as_fd(), PollFlags::OUT)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How much the terminal shows: see [`window_size`].
    ///
    /// # Errors
    /// `ENOTTY` if it is none.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        window_size(self)
    }
}

impl From<PipeWriter> for Output {
    fn from(pipe: PipeWriter) -> Self {
        Output {
            kind: StdioKind::Pipe,
            way: Way::Own(pipe),
            is_standard: false,
        }
    }
}

impl AsSource for Output {
    fn source(&self) -> &Source {
        self.way.source()
    }
}

impl WriteHalf for Output {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.way {
            Way::Own(pipe) => pipe.write_once(buf),
            Way::Socket(socket) => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(socket, buf, flags)?)
            }
            Way::Careful(source) => write_carefully(source, buf),
            Way::Jobs(jobs) => jobs.write_once(buf),
            Way::Nothing(_) => Ok(buf.len()),
        }
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Way::Own(pipe) = &self.way {
            return pipe.write_vectored_once(bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        first.map_or(Ok(0), |buf| self.write_once(buf))
    }

    fn end(&self) -> io::Result<()> {
        match &self.way {
            Way::Socket(socket) if !self.is_standard => Ok(shutdown(socket, Shutdown::Write)?),
            _ => Ok(()),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.way {
            Way::Jobs(jobs) => jobs.done().poll_io(cx, Direction::Write, |_| {
                jobs.flush_once()?;
                Ok(Done::one(()))
            }),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.way.as_fd()
    }
}
