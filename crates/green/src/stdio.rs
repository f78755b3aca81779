//! Standard input and output, and the terminal, for green threads.

use crate::net::Stream;
use oneloop_net::{self as net, RawMode, StdioKind, WindowSize};
use std::io;

/// The standard input of this process, or any fd to read from, such as a pipe or an open file: see
/// [`GreenIo`](crate::net::GreenIo), [`stdin`], [`oneloop::net::Input`](oneloop_net::Input).
///
/// ```
/// use oneloop::green::{Stdin, run};
/// use oneloop::net::Input;
/// use std::io::{Read, Write};
/// run(|| {
///     let (reader, mut writer) = std::io::pipe()?;
///     writer.write_all(b"hello")?;
///     drop(writer);
///     let mut input = Stdin::from(Input::from_fd(reader.into())?);
///     let mut text = String::new();
///     input.read_to_string(&mut text)?;
///     assert_eq!(text, "hello");
///     Ok::<(), std::io::Error>(())
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Stdin = Stream<net::Input>;

/// The standard output or standard error of this process, or any fd to write to: see
/// [`GreenIo`](crate::net::GreenIo), [`stdout`], [`oneloop::net::Output`](oneloop_net::Output).
pub type Stdout = Stream<net::Output>;

/// The terminal: see [`GreenIo`](crate::net::GreenIo), [`tty`].
pub type Tty = Stream<net::Tty>;

/// The standard input of this process, be it a terminal, pipe, socket or file. See
/// [`oneloop::net::stdin`](oneloop_net::stdin).
///
/// ```no_run
/// use oneloop::green::{run, stdin, stdout};
/// use std::io::{BufRead, BufReader, Write};
/// run(|| {
///     let mut stdout = stdout()?;
///     for line in BufReader::new(stdin()?).lines() {
///         writeln!(stdout, "{}", line?.to_uppercase())?;
///     }
///     stdout.flush()
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `EMFILE`, and those of `epoll_ctl(2)`.
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "FileObject")]
#[track_caller]
pub fn stdin() -> io::Result<Stdin> {
    Ok(net::stdin()?.into())
}

/// The standard output of this process: see [`oneloop::net::stdout`](oneloop_net::stdout).
///
/// # Errors
/// As [`stdin`].
///
/// # Panics
/// Outside of a loop.
#[track_caller]
pub fn stdout() -> io::Result<Stdout> {
    Ok(net::stdout()?.into())
}

/// The standard error of this process: see [`oneloop::net::stderr`](oneloop_net::stderr).
///
/// # Errors
/// As [`stdin`].
///
/// # Panics
/// Outside of a loop.
#[track_caller]
pub fn stderr() -> io::Result<Stdout> {
    Ok(net::stderr()?.into())
}

/// The controlling terminal of this process, also when its standard input and output are
/// redirected: see [`oneloop::net::Tty::open`](oneloop_net::Tty::open).
///
/// # Errors
/// `ENXIO` without a controlling terminal.
///
/// # Panics
/// Outside of a loop.
#[track_caller]
pub fn tty() -> io::Result<Tty> {
    Ok(net::Tty::open()?.into())
}

// These are aliases, so their methods stand on `GreenIo` beside those of sockets.
impl Stdin {
    /// The kind of the fd.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.get()?.kind())
    }

    /// Puts the terminal into raw mode while the guard lives: see [`RawMode`].
    ///
    /// # Errors
    /// `ENOTTY` if it is not a terminal; `EBADF` once it is closed.
    pub fn raw_mode(&self) -> io::Result<RawMode> {
        self.get()?.raw_mode()
    }
}

impl Stdout {
    /// The kind of the fd.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.get()?.kind())
    }

    /// The terminal's rows and columns: see
    /// [`oneloop::net::window_size`](oneloop_net::window_size).
    ///
    /// # Errors
    /// `ENOTTY` if it is not a terminal; `EBADF` once it is closed.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        self.get()?.window_size()
    }
}

impl Tty {
    /// Puts the terminal into raw mode while the guard lives: see [`RawMode`].
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn raw_mode(&self) -> io::Result<RawMode> {
        self.get()?.raw_mode()
    }

    /// The terminal's rows and columns: see
    /// [`oneloop::net::window_size`](oneloop_net::window_size).
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        self.get()?.window_size()
    }
}
