//! The options of a child: the last arguments of Node's functions.

use crate::abort::AbortSignal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// `SIGTERM`.
const SIGTERM: i32 = 15;

/// One of a child's standard streams.
#[derive(Debug, Default)]
pub enum Stdio {
    /// A pipe to this program: [`ChildProcess::stdin`](super::ChildProcess::stdin), or `stdout`, or
    /// `stderr`.
    #[default]
    Pipe,
    /// `/dev/null`.
    Ignore,
    /// The same stream of this program.
    Inherit,
    /// This fd.
    Fd(OwnedFd),
}

/// How to start a child: `child_process.spawn(file, args, options)`.
#[derive(Debug)]
pub struct SpawnOptions {
    /// The working directory; this program's by default.
    pub cwd: Option<PathBuf>,
    /// The whole environment; this program's by default.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// The first argument, in which a program finds its name; the path of the program by default.
    pub argv0: Option<OsString>,
    /// Its standard input, output and error.
    pub stdio: [Stdio; 3],
    /// Gives the child a new session: see
    /// [`oneloop::process::CommandIn::detached`](oneloop_process::CommandIn::detached).
    pub detached: bool,
    /// The user ID of the child.
    pub uid: Option<u32>,
    /// The group ID of the child.
    pub gid: Option<u32>,
    /// After this many milliseconds the child is killed with
    /// [`kill_signal`](SpawnOptions::kill_signal); 0 means never.
    pub timeout_ms: f64,
    /// The signal with which a timeout, an abort or [`ExecOptions::max_buffer`] kills the child;
    /// `SIGTERM` by default.
    pub kill_signal: i32,
    /// Kills the child when the signal is aborted; 'error' reports that.
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
    /// How to start it. Its standard streams are pipes, whatever `stdio` says.
    pub spawn: SpawnOptions,
    /// The maximum size of the standard output, and of the standard error, in bytes; a child that
    /// prints more is killed.
    pub max_buffer: usize,
}

impl Default for ExecOptions {
    fn default() -> Self {
        ExecOptions {
            spawn: SpawnOptions::default(),
            max_buffer: 1024 * 1024, // Node's default
        }
    }
}
