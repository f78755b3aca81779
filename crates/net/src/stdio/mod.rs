//! Any fd as a byte stream, the standard streams above all, without blocking the loop and without
//! changing the fd's flags.
//!
//! A program shares its standard streams with other processes, such as the shell. `O_NONBLOCK`
//! belongs to the open file description, so it would affect those processes, too, and outlast the
//! program. So:
//!
//! | the fd is | it is read and written |
//! |---|---|
//! | a terminal, a pipe | reopened, non-blocking (`/proc/self/fd`); the original is unchanged |
//! | the same, if reopening is refused | once it is ready, with `RWF_NOWAIT` or after a `poll(2)` |
//! | a socket | with `MSG_DONTWAIT` |
//! | a file, `/dev/null` | by a thread for files, at the position that it shares with others |
//! | closed (a standard stream) | reads return the end, and written bytes vanish, as in `std` |

mod jobs;

use self::jobs::{FileJobs, SharedBuffer, always_ready};
use crate::pipe::{PipeReader, PipeWriter};
use crate::stream::{AsSource, ReadHalf, WriteHalf};
use crate::tty::{RawMode, WindowSize, is_tty, window_size};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Source};
use oneloop_posix::{Optional, PREADV2};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, fcntl_dupfd_cloexec, preadv2, pwritev2};
use rustix::net::{RecvFlags, SendFlags, Shutdown, shutdown};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The kind of fd behind an [`Input`] or [`Output`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdioKind {
    /// A terminal.
    Tty,
    /// A pipe or FIFO.
    Pipe,
    /// A socket, as inetd passes.
    Socket,
    /// A file, or a device.
    File,
    /// None: the standard stream is closed.
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

/// An fd of any kind as a stream to read: see [`Input::from_fd`], and [`stdin`] for the standard
/// input.
///
/// Reading is cancel safe: bytes that a thread reads for a canceled read go to the next one. A read
/// of a file keeps the loop alive until its thread is done.
#[derive(Debug)]
#[doc(alias = "FileObject")]
pub struct Input {
    kind: StdioKind,
    method: IoMethod<PipeReader>,
}

/// An fd of any kind as a stream to write: see [`Output::from_fd`], and [`stdout`] and [`stderr`]
/// for the standard streams.
///
/// A thread writes a file after the write has returned. The next write or flush returns its error,
/// and all accepted bytes are written by the time that the loop is dropped. So a write to a file is
/// cancel safe, too.
#[derive(Debug)]
pub struct Output {
    kind: StdioKind,
    method: IoMethod<PipeWriter>,
    is_standard: bool,
}

/// The standard input: see [`stdin`].
pub type Stdin = Input;

/// The standard output: see [`stdout`].
pub type Stdout = Output;

/// The standard error: see [`stderr`].
pub type Stderr = Output;

/// The standard input, on the current loop, whatever kind of fd it is. `std::io::stdin` keeps the
/// bytes that it has read ahead.
///
/// ```no_run
/// use oneloop::EventLoop;
/// use oneloop::net::{stdin, stdout};
/// # fn main() -> std::io::Result<()> {
/// EventLoop::new()?.block_on(async {
///     let (stdin, stdout) = (stdin()?, stdout()?);
///     while let Some(chunk) = stdin.read_chunk().await? {
///         stdout.write_all(&chunk).await?;
///     }
///     stdout.flush().await
/// })
/// # }
/// ```
///
/// # Errors
/// `EMFILE`, and those of `epoll_ctl(2)`.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn stdin() -> io::Result<Input> {
    let (kind, method) = IoMethod::standard(0, |fd| PipeReader::from_shared_fd(fd))?;
    Ok(Input { kind, method })
}

/// The standard output, on the current loop. It has no buffer of its own, so output of `println!`
/// appears in the order of the calls.
///
/// # Errors
/// `EMFILE`, and those of `epoll_ctl(2)`.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn stdout() -> io::Result<Output> {
    Output::standard(1)
}

/// The standard error, on the current loop: see [`stdout`].
///
/// # Errors
/// As [`stdout`].
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn stderr() -> io::Result<Output> {
    Output::standard(2)
}

/// The way in which an fd is read or written without blocking the loop.
#[derive(Debug)]
enum IoMethod<P> {
    /// Through an open file description that no other process shares.
    Reopened(P),
    /// With `MSG_DONTWAIT`.
    Socket(Source),
    /// Once epoll reports the fd ready, without blocking if another process takes the bytes first.
    Careful(Source),
    /// By threads of the pool, because files are always ready and may still block.
    Jobs(FileJobs),
    /// Not at all: the fd is closed.
    Closed(Source),
}

impl<P: AsSource> IoMethod<P> {
    #[track_caller]
    fn standard(
        number: usize,
        reopen: impl FnOnce(&OwnedFd) -> io::Result<P>,
    ) -> io::Result<(StdioKind, Self)> {
        let _loop = Handle::current(); // panics here, as a closure cannot name its caller
        let duplicate = match number {
            // A duplicate above 2: dropping it must not close the standard stream, and a closed
            // stream's number must not be taken.
            0 => fcntl_dupfd_cloexec(io::stdin(), 3),
            1 => fcntl_dupfd_cloexec(io::stdout(), 3),
            _ => fcntl_dupfd_cloexec(io::stderr(), 3),
        };
        match duplicate {
            Ok(fd) => IoMethod::find(SharedBuffer::standard(number), fd, reopen),
            Err(Errno::BADF) => Ok((StdioKind::Closed, IoMethod::Closed(always_ready()?))),
            Err(error) => Err(error.into()),
        }
    }

    fn find(
        buffer: Arc<SharedBuffer>,
        fd: OwnedFd,
        reopen: impl FnOnce(&OwnedFd) -> io::Result<P>,
    ) -> io::Result<(StdioKind, Self)> {
        let kind = StdioKind::of(&fd)?;
        let method = match kind {
            StdioKind::Socket => IoMethod::Socket(shared(fd)?),
            // Reopening fails for another user's fd and without /proc. The shared description is
            // then used with care.
            StdioKind::Tty | StdioKind::Pipe if !is_pty_master(&fd) => match reopen(&fd) {
                Ok(stream) => IoMethod::Reopened(stream),
                Err(_) => IoMethod::Careful(shared(fd)?),
            },
            _ => match shared(fd.try_clone()?) {
                Ok(source) => IoMethod::Careful(source),
                // epoll_ctl(2): EPERM for a file that does not support epoll, as it is always
                // ready.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                    IoMethod::Jobs(FileJobs::new(buffer, fd)?)
                }
                Err(error) => return Err(error),
            },
        };
        Ok((kind, method))
    }

    fn source(&self) -> &Source {
        match self {
            IoMethod::Reopened(stream) => stream.source(),
            IoMethod::Socket(source) | IoMethod::Careful(source) | IoMethod::Closed(source) => {
                source
            }
            IoMethod::Jobs(jobs) => jobs.done(),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            IoMethod::Jobs(jobs) => jobs.as_fd(),
            other => other.source().as_fd(),
        }
    }
}

/// Registers an fd whose open file description other processes may share.
#[track_caller]
fn shared(fd: OwnedFd) -> io::Result<Source> {
    // Level-triggered: another process may take the bytes, and an edge would then be lost.
    Source::new(&Handle::current(), fd, Interest::NONE, Ownership::Shared)
}

/// True for the master of a pseudo-terminal. It cannot be reopened: an open of `/dev/ptmx` makes
/// another pseudo-terminal (pts(4)).
fn is_pty_master(fd: &OwnedFd) -> bool {
    rustix::pty::ptsname(fd, Vec::new()).is_ok()
}

/// The offset -1, with which `preadv2(2)` uses and moves the position of the open file description.
const CURRENT_POSITION: u64 = u64::MAX;

/// The number of bytes that a writable pipe takes without blocking (pipe(7): `PIPE_BUF`). A
/// terminal usually takes them, too.
const CAREFUL_BYTES: usize = 4096;

/// `pwritev2(2)`. Where it is refused, a `poll(2)` precedes each write.
static PWRITEV2: Optional = Optional::new();

/// Reads the bytes that have arrived. Without `RWF_NOWAIT` a `poll(2)` precedes the read; the read
/// then blocks if another process takes the bytes in between.
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

/// Writes the bytes that the kernel takes: see [`read_carefully`].
fn write_carefully(fd: &Source, buf: &[u8]) -> io::Result<usize> {
    if PWRITEV2.is_available() {
        let bufs = &[IoSlice::new(buf)];
        match pwritev2(fd, bufs, CURRENT_POSITION, ReadWriteFlags::NOWAIT) {
            Err(error) if PWRITEV2.is_refused_by(&error.into()) => {}
            written => return Ok(written?),
        }
    }
    check_ready(fd, PollFlags::OUT)?;
    // More bytes might block, although poll(2) reports the fd writable.
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
    /// Reads from an fd: a pipe, a FIFO, a terminal, a socket, a device, or a file from its current
    /// position. Its flags stay unchanged, so other processes may share it.
    ///
    /// ```
    /// use oneloop::EventLoop;
    /// use oneloop::net::Input;
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
    /// Dropping the input loses the bytes that a thread has read for a canceled read; the file's
    /// position is behind them.
    ///
    /// # Errors
    /// `EMFILE`, and those of `epoll_ctl(2)`; the fd is closed then.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let (kind, method) =
            IoMethod::find(Arc::default(), fd, |fd| PipeReader::from_shared_fd(fd))?;
        Ok(Input { kind, method })
    }

    /// The kind of the fd.
    pub fn kind(&self) -> StdioKind {
        self.kind
    }

    /// True for a terminal.
    pub fn is_tty(&self) -> bool {
        self.kind == StdioKind::Tty
    }

    /// Puts the terminal into raw mode while the guard lives: see [`RawMode`].
    ///
    /// # Errors
    /// `ENOTTY` if the fd is not a terminal.
    pub fn raw_mode(&self) -> io::Result<RawMode> {
        RawMode::enter(self)
    }
}

impl From<PipeReader> for Input {
    fn from(pipe: PipeReader) -> Self {
        Input {
            kind: StdioKind::Pipe,
            method: IoMethod::Reopened(pipe),
        }
    }
}

impl AsSource for Input {
    fn source(&self) -> &Source {
        self.method.source()
    }
}

impl ReadHalf for Input {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.method {
            IoMethod::Reopened(pipe) => pipe.read_once(buf),
            IoMethod::Socket(socket) => {
                // recv(2): MSG_DONTWAIT concerns this call only, while O_NONBLOCK would concern
                // every process.
                let (count, _) = rustix::net::recv(socket, buf, RecvFlags::DONTWAIT)?;
                Ok(count)
            }
            IoMethod::Careful(source) => read_carefully(source, buf),
            IoMethod::Jobs(jobs) => jobs.read_once(buf),
            IoMethod::Closed(_) => Ok(0),
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.method.as_fd()
    }
}

impl Output {
    /// Writes to an fd of any kind: see [`Input::from_fd`]. Dropping the output closes the fd,
    /// which is the end for a pipe's reader; [`end`](WriteHalf::end) shuts a socket down for
    /// writing.
    ///
    /// # Errors
    /// As [`Input::from_fd`].
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let (kind, method) =
            IoMethod::find(Arc::default(), fd, |fd| PipeWriter::from_shared_fd(fd))?;
        Ok(Output {
            kind,
            method,
            is_standard: false,
        })
    }

    #[track_caller]
    fn standard(number: usize) -> io::Result<Self> {
        let (kind, method) = IoMethod::standard(number, |fd| PipeWriter::from_shared_fd(fd))?;
        Ok(Output {
            kind,
            method,
            is_standard: true,
        })
    }

    /// The kind of the fd.
    pub fn kind(&self) -> StdioKind {
        self.kind
    }

    /// True for a terminal.
    pub fn is_tty(&self) -> bool {
        self.kind == StdioKind::Tty
    }

    /// Writes all bytes, and blocks until the kernel has them: for code that is about to end the
    /// process.
    ///
    /// # Errors
    /// Those of `write(2)`: `EPIPE`, `ENOSPC`.
    pub fn write_all_blocking(&self, mut buf: &[u8]) -> io::Result<()> {
        if let IoMethod::Jobs(jobs) = &self.method {
            return jobs.write_all_blocking(buf);
        }
        while !buf.is_empty() {
            match self.write_once(buf) {
                Ok(count) => buf = &buf[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // poll(2) on the fd itself: the loop does not run meanwhile.
                    wait_until_ready(self.method.as_fd(), PollFlags::OUT)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The size of the terminal: see [`window_size`].
    ///
    /// # Errors
    /// `ENOTTY` if the fd is not a terminal.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        window_size(self)
    }
}

impl From<PipeWriter> for Output {
    fn from(pipe: PipeWriter) -> Self {
        Output {
            kind: StdioKind::Pipe,
            method: IoMethod::Reopened(pipe),
            is_standard: false,
        }
    }
}

impl AsSource for Output {
    fn source(&self) -> &Source {
        self.method.source()
    }
}

impl WriteHalf for Output {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.method {
            IoMethod::Reopened(pipe) => pipe.write_once(buf),
            IoMethod::Socket(socket) => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(socket, buf, flags)?)
            }
            IoMethod::Careful(source) => write_carefully(source, buf),
            IoMethod::Jobs(jobs) => jobs.write_once(buf),
            // As `std` does: a daemon without a standard output must not fail to print.
            IoMethod::Closed(_) => Ok(buf.len()),
        }
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if let IoMethod::Reopened(pipe) = &self.method {
            return pipe.write_vectored_once(bufs);
        }
        // One buffer per call: the other ways have no vectored call, and callers handle short
        // writes.
        let first = bufs.iter().find(|buf| !buf.is_empty());
        first.map_or(Ok(0), |buf| self.write_once(buf))
    }

    fn end(&self) -> io::Result<()> {
        match &self.method {
            // Not for a standard stream: other processes still write to the socket that inetd has
            // passed.
            IoMethod::Socket(socket) if !self.is_standard => Ok(shutdown(socket, Shutdown::Write)?),
            _ => Ok(()),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.method {
            IoMethod::Jobs(jobs) => jobs.done().poll_io(cx, Direction::Write, |_| {
                jobs.flush_once()?;
                Ok(Done::one(()))
            }),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.method.as_fd()
    }
}
