//! Standard input and output, and the terminal, with `await`.

use crate::stream::Stream;
use oneloop_core::Handle;
use oneloop_net as net;
use std::io;

/// The standard input of this process, or any fd to read from, such as a pipe's end or an open file: see
/// [`Stream`], [`stdin`], [`net::Input`].
///
/// ```
/// use oneloop_aio::{Stdin, block_on};
/// use oneloop_core::Handle;
/// use oneloop_net::Input;
/// use std::io::Write;
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let (reader, mut writer) = std::io::pipe()?;
///     writer.write_all(b"hello")?;
///     let input = Stdin::from(Input::from_fd(&Handle::current(), reader.into())?);
///     assert_eq!(&*input.read_chunk().await?.unwrap(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub type Stdin = Stream<net::Input>;

/// The standard output of this process, or its standard error, or any fd to write to: see [`Stream`],
/// [`stdout`], [`net::Output`].
pub type Stdout = Stream<net::Output>;

/// The terminal: see [`Stream`], [`tty`].
pub type Tty = Stream<net::Tty>;

/// The standard input, whatever it is: terminal, pipe, socket or file. See [`net::stdin`].
///
/// ```no_run
/// use oneloop_aio::{block_on, stdin, stdout};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
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
/// Outside of a loop.
pub fn stdin() -> io::Result<Stdin> {
    Ok(net::stdin(&Handle::current())?.into())
}

/// The standard output, whatever it is: see [`net::stdout`].
///
/// # Errors
/// As [`stdin`].
///
/// # Panics
/// Outside of a loop.
pub fn stdout() -> io::Result<Stdout> {
    Ok(net::stdout(&Handle::current())?.into())
}

/// The standard error, whatever it is: see [`net::stdout`].
///
/// # Errors
/// As [`stdin`].
///
/// # Panics
/// Outside of a loop.
pub fn stderr() -> io::Result<Stdout> {
    Ok(net::stderr(&Handle::current())?.into())
}

/// The terminal that controls this process, wherever its standard input and output go: see
/// [`net::Tty::open`].
///
/// # Errors
/// `ENXIO` if there is none.
///
/// # Panics
/// Outside of a loop.
pub fn tty() -> io::Result<Tty> {
    Ok(net::Tty::open(&Handle::current())?.into())
}
