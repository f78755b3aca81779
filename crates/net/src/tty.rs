//! Terminals: their size, and raw mode, which the last guard ends.

use crate::pipe::reopen;
use crate::shared_job::lock;
use crate::stream::{AsSource, ReadHalf, WriteHalf};
use oneloop_core::{Direction, Handle, Interest, Ownership, Source};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, TryLockError};

/// True for a terminal: `isatty(3)`.
pub fn is_tty(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// The number of characters in a line.
    pub columns: u16,
    /// The number of lines.
    pub rows: u16,
}

/// The current size of a terminal. When it changes, the programs in the foreground get `SIGWINCH`:
/// wait for that with [`Signals`](oneloop_core::Signals), and call this again.
///
/// # Errors
/// `ENOTTY` for any other file.
pub fn window_size(fd: impl AsFd) -> io::Result<WindowSize> {
    let size = tcgetwinsize(fd)?;
    Ok(WindowSize {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// Opens the terminal that controls this process: see [`Tty::open`].
///
/// # Errors
/// `ENXIO` if this process has no controlling terminal.
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn tty() -> io::Result<Tty> {
    Tty::open()
}

/// A terminal on a loop.
///
/// Its open file description is private and non-blocking; the shell and other programs keep theirs
/// unchanged. A read returns a line or, in raw mode, the bytes that have arrived.
#[derive(Debug)]
#[doc(alias = "uv_tty_t")]
pub struct Tty {
    source: Source,
}

impl Tty {
    /// Opens the terminal that controls this process (`/dev/tty`), wherever the standard streams
    /// lead.
    ///
    /// # Errors
    /// `ENXIO` if this process has no controlling terminal.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Tty::register(open("/dev/tty", flags, Mode::empty())?)
    }

    /// Reopens a terminal through `/proc/self/fd`. The original stays unchanged.
    ///
    /// # Errors
    /// `ENOTTY` for any other file; `EACCES` for a terminal of another user.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn from_shared_fd(fd: impl AsFd) -> io::Result<Self> {
        // Fails with ENOTTY before the reopen, which would also succeed for a pipe.
        tcgetattr(&fd)?;
        Tty::register(reopen(fd.as_fd(), OFlags::RDWR)?)
    }

    #[track_caller]
    fn register(fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write);
        Ok(Tty {
            source: source.reads_in_parts(), // a read returns one line, though there may be more
        })
    }

    /// The current size: see [`window_size`].
    ///
    /// # Errors
    /// As [`window_size`].
    pub fn window_size(&self) -> io::Result<WindowSize> {
        window_size(self)
    }

    /// Puts the terminal into raw mode while the guard lives: see [`RawMode`].
    ///
    /// # Errors
    /// As [`RawMode::enter`].
    pub fn raw_mode(&self) -> io::Result<RawMode> {
        RawMode::enter(self)
    }
}

impl AsSource for Tty {
    fn source(&self) -> &Source {
        &self.source
    }
}

impl ReadHalf for Tty {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.source, buf)?)
    }
}

impl WriteHalf for Tty {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.source, buf)?)
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(&self.source, bufs)?)
    }

    fn end(&self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Tty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// A guard that keeps a terminal in raw mode: each key is readable at once and is not echoed, `^C`
/// is a byte, and `\n` in output still starts a line, as with libuv's `UV_TTY_MODE_RAW`.
///
/// The mode belongs to the terminal, not to the program, so the shell would inherit it. The drop of
/// the last guard restores it, also during a panic, and when a loop is dropped with the task that
/// owns the guard. Code that ends the process without drops, such as [`std::process::exit`] or a
/// signal handler, has to call [`reset_tty_mode`] first.
#[derive(Debug)]
#[must_use = "dropped, the terminal is as before"]
#[doc(alias("setRawMode", "uv_tty_set_mode", "cbreak"))]
pub struct RawMode {
    device: u64,
}

/// A terminal in raw mode.
struct RawTerminal {
    /// The device number, which identifies the terminal for all its fds.
    device: u64,
    /// A duplicate, because the caller may close its fd before the mode is restored.
    fd: OwnedFd,
    /// The mode to restore.
    before: Termios,
    /// The number of [`RawMode`] guards.
    guards: usize,
}

static RAW: Mutex<Vec<RawTerminal>> = Mutex::new(Vec::new());

impl RawMode {
    /// Puts a terminal into raw mode. Further guards of the same terminal only keep it there.
    ///
    /// # Errors
    /// `ENOTTY` for any other file.
    pub fn enter(fd: impl AsFd) -> io::Result<Self> {
        // Two fds of the same terminal have the same device number, whatever their descriptions.
        let device = fstat(&fd)?.st_rdev;
        let mut terminals = lock(&RAW);
        if let Some(terminal) = terminals.iter_mut().find(|other| other.device == device) {
            terminal.guards += 1;
            return Ok(RawMode { device });
        }
        let before = tcgetattr(&fd)?;
        // Before the mode changes: without the duplicate it could not be restored.
        let duplicate = fd.as_fd().try_clone_to_owned()?;
        tcsetattr(&fd, OptionalActions::Now, &raw(before.clone()))?;
        terminals.push(RawTerminal {
            device,
            fd: duplicate,
            before,
            guards: 1,
        });
        Ok(RawMode { device })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let mut terminals = lock(&RAW);
        let index = terminals.iter().position(|it| it.device == self.device);
        let Some(index) = index else { return };
        // The guards of one terminal share the saved mode: only the first one saw the original.
        terminals[index].guards -= 1;
        if terminals[index].guards == 0 {
            terminals.swap_remove(index).restore();
        }
    }
}

impl RawTerminal {
    fn restore(&self) {
        // This fails for a terminal that has hung up, which has no mode any more.
        let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}

/// Restores the mode of all terminals that are in raw mode: libuv's `uv_tty_reset_mode`. For code
/// that is about to end the process without drops; a signal handler may call it. Existing guards
/// stay valid.
///
/// # Errors
/// [`ResourceBusy`](io::ErrorKind::ResourceBusy) while a guard is being made or dropped.
pub fn reset_tty_mode() -> io::Result<()> {
    // Not `lock`: a signal handler that interrupts the holder of the lock would wait for itself.
    let terminals = match RAW.try_lock() {
        Ok(terminals) => terminals,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
    };
    terminals.iter().for_each(RawTerminal::restore);
    Ok(())
}

/// The flags of libuv's `uv__tty_make_raw`, which keeps output processing (`ONLCR`).
fn raw(mut mode: Termios) -> Termios {
    mode.input_modes -= InputModes::BRKINT
        | InputModes::ICRNL
        | InputModes::INPCK
        | InputModes::ISTRIP
        | InputModes::IXON;
    mode.output_modes |= OutputModes::ONLCR;
    mode.control_modes |= ControlModes::CS8;
    mode.local_modes -=
        LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    // termios(3): a read returns as soon as one byte has arrived, without a timer.
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}
