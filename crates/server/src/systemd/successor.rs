//! The old process's side of a hot restart: SIGUSR2 starts the program again, with the sockets on
//! which this process listens.
//!
//! ```text
//!   old process                                       new process
//!   SIGUSR2: fork and exec ── sockets, locks ────────▶ reads its options, adopts the sockets,
//!     accepts meanwhile                                starts its threads
//!     MAINPID= to the manager ◀──────────── ready ──┘
//!     stops to accept ── go ─────────────────────────▶ accepts
//!     serves its clients to their end, or drains
//! ```
//!
//! The sockets are the same ones, so no connection that waits in a backlog is lost, and no moment is
//! without a listener. Until the old process says `go`, it is the server: a new one that fails, or
//! takes too long, changes nothing.

use super::all_loops::Named;
use super::passed::PREDECESSOR;
use super::predecessor::{GO, READY};
use crate::failure::in_words;
use crate::open_files;
use oneloop::Handle;
use oneloop::aio::wait_readable;
use oneloop::process::{Child, Command};
use std::env;
use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;

/// The command line of this process, to start it again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arg0: OsString,
    args: Vec<OsString>,
    /// Where the kernel found this program, in case that the path leads nowhere any more.
    exe: Option<PathBuf>,
    /// The limit of open files before the server raised it.
    open_files_max: Option<u64>,
}

impl Program {
    /// The path is the one by which this process was started, and not the file that runs: a package
    /// manager puts a new file there, or a link to one.
    pub(crate) fn of_this_process() -> Self {
        let mut args = env::args_os();
        let arg0 = args.next().unwrap_or_default();
        let exe = env::current_exe().ok();
        let path = match Path::new(&arg0).parent() {
            // A name without a folder was searched for in PATH.
            None => None,
            Some(folder) if folder.as_os_str().is_empty() => in_path(&arg0),
            Some(_) => std::path::absolute(&arg0).ok(),
        };
        Program {
            path: path.or_else(|| exe.clone()).unwrap_or_default(),
            arg0,
            args: args.collect(),
            exe,
            open_files_max: open_files::limit(),
        }
    }

    fn path(&self) -> &Path {
        match &self.exe {
            Some(exe) if !self.path.exists() => exe,
            _ => &self.path,
        }
    }
}

fn in_path(name: &OsString) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut paths = env::split_paths(&folders).map(|folder| folder.join(name));
    paths.find(|path| path.is_file())
}

/// A process that is to take over.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Child,
    connection: UnixStream,
    /// It is the server now.
    has_taken_over: bool,
}

impl Successor {
    /// Starts the program with these sockets and locks.
    ///
    /// # Errors
    /// A sentence that says why there is no new process.
    pub(crate) fn start(program: &Program, fds: Vec<Named>) -> Result<Self, String> {
        let path = program.path();
        let cannot =
            |error: io::Error| format!("cannot run '{}': {}", path.display(), in_words(&error));
        let (connection, theirs) = UnixStream::pair().map_err(cannot)?;
        connection.set_nonblocking(true).map_err(cannot)?;
        let mut fds = fds;
        fds.push((PREDECESSOR.to_owned(), theirs.into()));
        let names: Vec<_> = fds.iter().map(|(name, _)| name.as_str()).collect();
        let mut command = Command::new(path);
        command
            .arg0(&program.arg0)
            .args(&program.args)
            .env("LISTEN_FDS", fds.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env_id("LISTEN_PID")
            // It names this process. Without it, the watchdog is for the process that asks.
            .env_remove("WATCHDOG_PID")
            .pass_fds(fds.into_iter().map(|(_, fd)| fd));
        if let Some(count) = program.open_files_max {
            command.open_files_max(count);
        }
        let child = command.spawn().map_err(cannot)?;
        Ok(Successor {
            child,
            connection,
            has_taken_over: false,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.process().id()
    }

    /// Waits until it is ready to accept.
    ///
    /// # Errors
    /// A sentence that says why it is not.
    pub(crate) async fn ready(&self, handle: &Handle, patience: Duration) -> Result<(), String> {
        let mut said = pin!(self.says_ready());
        let mut ended = pin!(self.child.process().wait());
        let first = poll_fn(|cx| {
            if let Poll::Ready(said) = said.as_mut().poll(cx) {
                return Poll::Ready(said);
            }
            ended.as_mut().poll(cx).map(|status| Err(describe(status)))
        });
        match handle.timeout(patience, first).await {
            Ok(ended) => ended,
            Err(_) => Err(format!("it was not ready within {patience:?}")),
        }
    }

    async fn says_ready(&self) -> Result<(), String> {
        let mut said: Vec<u8> = Vec::new();
        while said.len() < READY.len() {
            let mut buf = [0; READY.len()];
            match (&self.connection).read(&mut buf) {
                // Its end is reported by its exit code.
                Ok(0) => std::future::pending().await,
                Ok(bytes) => said.extend(&buf[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let readable = wait_readable(self.connection.as_fd()).await;
                    readable.map_err(|error| in_words(&error))?;
                }
                Err(error) => return Err(in_words(&error)),
            }
        }
        if said == READY {
            Ok(())
        } else {
            Err("it did not say that it is ready, as a server of this kind does".to_owned())
        }
    }

    /// Tells it to accept. From now on it outlives this process.
    pub(crate) fn go(mut self) {
        self.has_taken_over = true;
        // Never blocks: the bytes fit into an empty socket. If it has ended, a service manager
        // starts the next one.
        let _ = (&self.connection).write_all(GO);
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.has_taken_over {
            let _ = self.child.process().kill(); // or it has ended already
        }
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("it ended with {status} before it was ready"),
        Err(error) => in_words(&error),
    }
}
