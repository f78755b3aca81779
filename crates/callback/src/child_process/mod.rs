//! Child processes in Node's words: `require('child_process')`.
//!
//! ```
//! use oneloop::callback::{child_process, run};
//!
//! run(|| {
//!     let child = child_process::spawn("tr", ["a-z", "A-Z"])?;
//!     let (stdin, stdout) = (child.stdin().expect("a pipe"), child.stdout().expect("a pipe"));
//!     stdin.end_with("hello");
//!     stdout.on_data(|_, bytes| assert_eq!(bytes, b"HELLO"));
//!     child.on_close(|_, code, signal| assert_eq!((code, signal), (Some(0), None)));
//!     Ok::<_, child_process::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A child's streams are [`net::Socket`](crate::net::Socket)s over Unix socket pairs, as in Node,
//! so they end, pause and pipe as sockets do. As in Node, a child cannot reopen its `/dev/stdin`:
//! open(2) refuses sockets with ENXIO.
//!
//! Children inherit ignored signals, as POSIX demands: SIGHUP under `nohup`, SIGINT in a shell's
//! background. Node resets them to their defaults.
//!
//! Signals are numbers, as in [`process::on_signal`](crate::process::on_signal). There is no
//! `fork`, which starts another Node, and there are no `…Sync` functions, which block.

mod child;
mod exec;
mod options;

pub use crate::error::Error;
pub use child::{ChildClose, ChildError, ChildExit, ChildProcess, Spawned, WeakChildProcess};
pub use exec::{ExecError, exec, exec_file, exec_file_with, exec_with};
pub use options::{ExecOptions, SpawnOptions, Stdio};

use std::ffi::OsStr;

/// Starts a program. If that fails with `ENOENT`, `EACCES`, `EAGAIN`, `EMFILE` or `ENFILE`, 'error'
/// follows in the next tick.
///
/// # Errors
/// Any other error of `execve(2)`, such as `E2BIG`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias("uv_spawn", "fork"))]
pub fn spawn(
    file: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<ChildProcess, Error> {
    spawn_with(file, args, SpawnOptions::default())
}

/// Starts a program with options.
///
/// # Errors
/// As [`spawn`].
///
/// # Panics
/// As [`spawn`].
#[track_caller]
pub fn spawn_with(
    file: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    options: SpawnOptions,
) -> Result<ChildProcess, Error> {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    ChildProcess::start(file.as_ref().to_owned(), args.collect(), options)
}
