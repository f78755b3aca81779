//! How to start a child: the last arguments of Node's functions.

use crate::abort::AbortSignal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// `SIGTERM`.
const SIGTERM: i32 = 15;

/// What one of a child's standard streams is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// A stream of ours: [`ChildProcess::stdin`](super::ChildProcess::stdin) and its likes.
    #[default]
    Pipe,
    /// `/dev/null`.
    Ignore,
    /// This program's own.
    Inherit,
    /// Some fd.
    Fd(OwnedFd),
}

/// How to start a child: `child_process.spawn(file, args, options)`.
#[derive(Debug)]
pub struct SpawnOptions {
    /// Where it runs; where this program does, if nothing is said.
    pub cwd: Option<PathBuf>,
    /// All of its environment; this program's, if nothing is said.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// What it is told that it was called by.
    pub argv0: Option<OsString>,
    /// Its standard input, output and error.
    pub stdio: [Stdio; 3],
    /// It has a session of its own: see [`oneloop_process::CommandIn::detached`].
    pub detached: bool,
    /// As which user it runs.
    pub uid: Option<u32>,
    /// As which group it runs.
    pub gid: Option<u32>,
    /// After how many milliseconds it is sent [`kill_signal`](SpawnOptions::kill_signal); 0 for
    /// never.
    pub timeout_ms: f64,
    /// What a time-out, an abort and [`ExecOptions::max_buffer`] kill with: `SIGTERM` at first.
    pub kill_signal: i32,
    /// Kills it when it is aborted; 'error' tells.
    pub signal: Option<AbortSignal>,
}

impl Default for SpawnOptions {
    fn default() -> Self {
        SpawnOptions {
            cwd: None,
            env: None,
            argv0: None,
            stdio: Default::default(),
            detached: false,
            uid: None,
            gid: None,
            timeout_ms: 0.0,
            kill_signal: SIGTERM,
            signal: None,
        }
    }
}

/// How to run a child to its end: `child_process.exec(command, options, callback)`.
#[derive(Debug)]
pub struct ExecOptions {
    /// How to start it; its standard streams are pipes, whatever is said here.
    pub spawn: SpawnOptions,
    /// How many bytes it may print, on standard output and error each; it is killed for more.
    pub max_buffer: usize,
}

impl Default for ExecOptions {
    fn default() -> Self {
        ExecOptions {
            spawn: SpawnOptions::default(),
            max_buffer: 1024 * 1024,
        }
    }
}
