//! Child processes for green threads, with the standard library's names: waiting for one, and for
//! its pipes, looks as if it blocked.
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
//! use oneloop::green::{process::Command, run};
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

/// A program to start, for green threads. Its methods are on [`CommandIn`].
///
/// ```
/// use oneloop::green::{process::Command, run};
/// let output = run(|| Command::new("echo").arg("hello").output())??;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("subprocess", "Popen"))]
pub type Command = CommandIn<Green>;

/// The green style: a wait looks as if it blocked.
#[derive(Debug)]
pub enum Green {}

// `CommandIn` is generic over the style, so that its many options exist once.
impl Style for Green {
    type Child = Child;
    type Returned<'a, T: 'a> = io::Result<T>;

    #[track_caller]
    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> io::Result<T> {
        wait_io(future, Location::caller())
    }
}

/// A child process, for green threads: [`std::process::Child`].
///
/// By dereferencing it has the operations that do not wait: [`id`](Process::id),
/// [`kill`](Process::kill), [`signal`](Process::signal), [`try_wait`](Process::try_wait). Other
/// green threads can wait for [`Process::wait`] as well. If this is dropped while the child runs,
/// the child continues, and is reaped in the background; with
/// [`kill_on_drop`](CommandIn::kill_on_drop) it is killed.
#[doc(alias = "Popen")]
pub struct Child {
    /// The child's standard input, if that is a pipe. When it and its clones are dropped, the child
    /// reads the end.
    pub stdin: Option<PipeWriter>,
    /// The child's standard output, if that is a pipe.
    pub stdout: Option<PipeReader>,
    /// The child's standard error, if that is a pipe.
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
    /// The process, so that other green threads can wait for it or kill it.
    pub fn process(&self) -> &Process {
        self.child.process()
    }

    /// Closes standard input, if it is a pipe, and waits until the child has ended. A child that
    /// prints more than a pipe holds has to be read meanwhile: see [`Child::communicate`].
    ///
    /// Several threads can wait for `child.process().wait()`, a future that closes nothing.
    ///
    /// # Errors
    /// As [`Process::wait`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        // As the standard library: a child that reads its input to the end would never end.
        drop(self.stdin.take());
        wait_io(self.child.process().wait(), Location::caller())
    }

    /// As [`Child::wait`], for `timeout` at most. It can be called again.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut), and those of [`Process::wait`].
    ///
    /// # Panics
    /// As [`Child::wait`].
    #[track_caller]
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        // Around the future, and not around the wait: running out of time is an error, and no
        // unwinding.
        let wait = within(timeout, self.child.process().wait());
        wait_io(wait, Location::caller())
    }

    /// Writes `input` to the child and closes its standard input, reads everything that it prints,
    /// and waits until it has ended: see [`process::Child::communicate`]. It takes the pipes out of
    /// this.
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

    /// As [`Child::communicate`], for `timeout` at most; then the child continues. Another call
    /// resumes where this one stopped, and loses no output.
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

    /// Closes standard input, reads everything that the child prints, and waits until it has ended.
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

    /// Returns the pipes to the child below, whose `communicate` polls all of them at once.
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

/// The pipe itself: a clone could read part of the output.
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
