//! Child processes for green threads, with the standard library's names: waiting for one looks as if it
//! blocked, and so do its pipes.
//!
//! | `gevent.subprocess` | here |
//! |---|---|
//! | `Popen(…)` | [`Command::spawn`](CommandIn::spawn) |
//! | `p.poll()`, `p.returncode` | [`try_wait`](Process::try_wait) |
//! | `p.wait(timeout)` | [`Child::wait`], [`Child::wait_timeout`] |
//! | `p.communicate(input, timeout)` | [`Child::communicate`], [`Child::communicate_timeout`] |
//! | `p.kill()`, `p.send_signal(n)`, `p.terminate()` | [`kill`](Process::kill), [`signal`](Process::signal) |
//! | `call` | [`Command::status`](CommandIn::status) |
//! | `check_output`, `run` | [`Command::output`](CommandIn::output) |
//!
//! ```
//! use oneloop_green::{process::Command, run};
//! use std::io::{Read, Write};
//! use std::process::Stdio;
//! let text = run(|| {
//!     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//!     child.stdin.take().expect("it is piped").write_all(b"meow")?;
//!     let mut text = String::new();
//!     child.stdout.take().expect("it is piped").read_to_string(&mut text)?;
//!     assert!(child.wait()?.success());
//!     Ok::<_, std::io::Error>(text)
//! })??;
//! assert_eq!(text, "meow");
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::net::{PipeReader, PipeWriter, Stream};
use crate::wait::wait_io;
use oneloop_core::{Elapsed, Handle};
use oneloop_process::{self as process, Style};
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::panic::Location;
use std::time::Duration;

pub use oneloop_process::{CommandIn, ExitStatus, KilledFor, Output, Process, Stdio};

/// A program to start, by green threads: see [`CommandIn`].
pub type Command = CommandIn<Green>;

/// The green style: what waits looks as if it blocked.
#[derive(Debug)]
pub enum Green {}

impl Style for Green {
    type Child = Child;
    type Wait<'a, T: 'a> = io::Result<T>;

    #[track_caller]
    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> io::Result<T> {
        wait_io(future, Location::caller())
    }
}

/// A child, for green threads: [`std::process::Child`].
///
/// What does not wait is there by dereferencing: [`id`](Process::id), [`kill`](Process::kill),
/// [`signal`](Process::signal), [`try_wait`](Process::try_wait). Other green threads can wait for
/// [`Process::wait`], too. Dropped while it runs, the child runs on, and is reaped in the background; with
/// [`kill_on_drop`](CommandIn::kill_on_drop) it is killed.
pub struct Child {
    /// What the child reads, if that is a pipe. Its drop, with that of its clones, is the end of the input.
    pub stdin: Option<PipeWriter>,
    /// What the child prints, if that goes into a pipe.
    pub stdout: Option<PipeReader>,
    /// What the child prints as its errors, if that goes into a pipe.
    pub stderr: Option<PipeReader>,
    child: process::Child,
}

impl From<process::Child> for Child {
    fn from(mut child: process::Child) -> Self {
        Child {
            stdin: child.stdin.take().map(Into::into),
            stdout: child.stdout.take().map(Into::into),
            stderr: child.stderr.take().map(Into::into),
            child,
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({:?})", self.child.process())
    }
}

impl Deref for Child {
    type Target = Process;

    fn deref(&self) -> &Process {
        self.child.process()
    }
}

impl Child {
    /// The process, for other green threads to wait for it or to kill it.
    pub fn process(&self) -> &Process {
        self.child.process()
    }

    /// Closes standard input, if it is a pipe, and waits for the end. A child that prints more than a pipe
    /// holds has to be read meanwhile: see [`Child::communicate`].
    ///
    /// # Errors
    /// As [`Process::wait`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        wait_io(self.child.process().wait(), Location::caller())
    }

    /// Like [`Child::wait`], but no longer than that. It may be asked for again.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut), and those of [`Process::wait`].
    ///
    /// # Panics
    /// As [`Child::wait`].
    #[track_caller]
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let wait = within(timeout, self.child.process().wait());
        wait_io(wait, Location::caller())
    }

    /// Writes this to the child and closes its input, reads all that it prints, and waits for its end: see
    /// [`process::Child::communicate`]. The pipes that are here are not any more from then on.
    ///
    /// # Errors
    /// As there, and `EBUSY` if a pipe has clones.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn communicate(&mut self, input: impl Into<Vec<u8>>) -> io::Result<Output> {
        self.lend_pipes()?;
        wait_io(self.child.communicate(input), Location::caller())
    }

    /// Like [`Child::communicate`], but no longer than that; the child is left to run. Asked for again, it
    /// goes on where it was, and nothing is lost.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut), and those of [`Child::communicate`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn communicate_timeout(
        &mut self,
        input: impl Into<Vec<u8>>,
        timeout: Duration,
    ) -> io::Result<Output> {
        self.lend_pipes()?;
        let communicate = within(timeout, self.child.communicate(input));
        wait_io(communicate, Location::caller())
    }

    /// Closes standard input, reads all that the child prints, and waits for its end.
    ///
    /// # Errors
    /// As [`Child::communicate`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        self.communicate(Vec::new())
    }

    fn lend_pipes(&mut self) -> io::Result<()> {
        if let Some(stdin) = self.stdin.take() {
            self.child.stdin = Some(sole(stdin)?);
        }
        if let Some(stdout) = self.stdout.take() {
            self.child.stdout = Some(sole(stdout)?);
        }
        if let Some(stderr) = self.stderr.take() {
            self.child.stderr = Some(sole(stderr)?);
        }
        Ok(())
    }
}

fn sole<S>(stream: Stream<S>) -> io::Result<S> {
    stream.into_inner().ok_or_else(|| {
        let problem =
            "a clone of the child's pipe is in use or is closed: communicate needs the only one";
        io::Error::new(io::ErrorKind::ResourceBusy, problem)
    })
}

async fn within<T>(
    timeout: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let limited = Handle::current().timeout(timeout, future);
    limited.await.unwrap_or_else(|Elapsed| Err(Elapsed.into()))
}
