//! Terminals: how large they are, and raw mode, which always finds its way back.

use crate::joint::lock;
use crate::pipe::reopen;
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

/// True if it is a terminal: `isatty(3)`.
pub fn is_tty(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// How much a terminal shows now. When that changes, the programs in its foreground get `SIGWINCH`:
/// wait for it with [`Signals`](oneloop_core::Signals), and ask again.
///
/// # Errors
/// `ENOTTY` for what is no terminal.
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
pub fn tty() -> io::Result<Tty> {
    Tty::open()
}

/// A terminal on a loop, to be read and written.
///
/// It has an open file description of its own, which is non-blocking; those that the shell and
/// other programs have stay as they are. A read gives a line, or, in raw mode, what is there.
#[derive(Debug)]
pub struct Tty {
    source: Source,
}

impl Tty {
    /// Opens the terminal that controls this process, wherever its standard input and output go.
    ///
    /// # Errors
    /// `ENXIO` if there is none.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Tty::register(open("/dev/tty", flags, Mode::empty())?)
    }

    /// Opens the same terminal anew, through `/proc/self/fd`. The original stays as it is.
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal; `EACCES` for one of another user.
    pub fn from_shared_fd(fd: impl AsFd) -> io::Result<Self> {
        tcgetattr(&fd)?;
        Tty::register(reopen(fd.as_fd(), OFlags::RDWR)?)
    }

    fn register(fd: OwnedFd) -> io::Result<Self> {
        let source = Source::new(&Handle::current(), fd, Interest::READ, Ownership::Sole)?;
        source.assume_ready(Direction::Write);
        Ok(Tty {
            source: source.reads_in_parts(), // line by line
        })
    }

    /// How much it shows: see [`window_size`].
    ///
    /// # Errors
    /// As [`window_size`].
    pub fn window_size(&self) -> io::Result<WindowSize> {
        window_size(self)
    }

    /// Puts it into raw mode while the guard lives: see [`RawMode`].
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

/// A terminal in raw mode: each key is told at once and is not shown, `^C` is a byte, and output is
/// still made into lines, as libuv has it (`UV_TTY_MODE_RAW`).
///
/// The mode is the terminal's, and not the program's: the shell would find it as it was left. So
/// the drop of the last guard restores it, in a panic as well, and when a loop is dropped with the
/// task that has the guard. What ends without drops, such as [`std::process::exit`] or a signal,
/// has to call [`reset_tty_mode`] before.
#[derive(Debug)]
#[must_use = "dropped, the terminal is as before"]
pub struct RawMode {
    device: u64,
}

/// A terminal that is not as it was.
struct Changed {
    device: u64,
    fd: OwnedFd,
    before: Termios,
    guards: usize,
}

static CHANGED: Mutex<Vec<Changed>> = Mutex::new(Vec::new());

impl RawMode {
    /// Puts a terminal into raw mode. While one guard of a terminal lives, another one changes
    /// nothing.
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn enter(fd: impl AsFd) -> io::Result<Self> {
        let device = fstat(&fd)?.st_rdev;
        let mut changed = lock(&CHANGED);
        if let Some(changed) = changed.iter_mut().find(|other| other.device == device) {
            changed.guards += 1;
            return Ok(RawMode { device });
        }
        let before = tcgetattr(&fd)?;
        let duplicate = fd.as_fd().try_clone_to_owned()?;
        tcsetattr(&fd, OptionalActions::Now, &raw(before.clone()))?;
        changed.push(Changed {
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
        let mut changed = lock(&CHANGED);
        let index = changed.iter().position(|it| it.device == self.device);
        let Some(index) = index else { return };
        changed[index].guards -= 1;
        if changed[index].guards == 0 {
            changed.swap_remove(index).restore();
        }
    }
}

impl Changed {
    fn restore(&self) {
        // A terminal that has hung up has no mode any more.
        let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}

/// Restores the mode of all terminals that are in raw mode: libuv's `uv_tty_reset_mode`. For what
/// is about to end the process without drops; it may be called in a signal handler. The guards go
/// on living.
///
/// # Errors
/// [`ResourceBusy`](io::ErrorKind::ResourceBusy) when a guard is being made or dropped at this
/// moment.
pub fn reset_tty_mode() -> io::Result<()> {
    let changed = match CHANGED.try_lock() {
        Ok(changed) => changed,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
    };
    changed.iter().for_each(Changed::restore);
    Ok(())
}

/// libuv's `uv__tty_make_raw`, and its output processing.
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
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}
