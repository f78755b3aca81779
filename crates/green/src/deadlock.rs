//! The error of a loop in which every task waits, and nothing can wake one.

use crate::unwind::resume_unwind;
use oneloop_core::TaskInfo;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every task waits, and nothing is left that could wake one: gevent's `LoopExit`.
///
/// Its `Display` lists what each task waits for, since when, and where it was spawned. Its `Debug`
/// is the same text, because that is what a `main` prints which returns the error.
#[derive(Clone)]
#[doc(alias = "LoopExit")]
pub struct Deadlock {
    /// Every task of the loop.
    pub tasks: Vec<TaskInfo>,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadlock: every task waits, and nothing can wake one")?;
        for task in &self.tasks {
            write!(f, "\n  {task}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Deadlock {}
impl From<Deadlock> for io::Error {
    fn from(deadlock: Deadlock) -> Self {
        io::Error::new(io::ErrorKind::Deadlock, deadlock)
    }
}

/// Why [`run`](crate::run) has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// No loop could be made, or its `epoll_wait(2)` failed.
    Io(io::Error),
    /// The main green thread waited for an event that could not happen.
    Deadlock(Deadlock),
    /// The main green thread was killed.
    Killed,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Io(error) => write!(f, "the event loop failed: {error}"),
            RunError::Deadlock(deadlock) => fmt::Display::fmt(deadlock, f),
            RunError::Killed => f.write_str("the main green thread was killed"),
        }
    }
}

impl std::error::Error for RunError {}
impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        RunError::Io(error)
    }
}
// For a `main` that returns an `io::Result`, as the examples' does.
impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Io(error) => error,
            RunError::Deadlock(deadlock) => deadlock.into(),
            RunError::Killed => io::Error::new(io::ErrorKind::Interrupted, error),
        }
    }
}

/// Calls a function, and returns the deadlock that ended one of its waits: `except LoopExit` of
/// gevent.
///
/// Only the main green thread of [`run`](crate::run) is interrupted by a deadlock; the others
/// continue to wait.
///
/// ```
/// use oneloop::green::{catch_deadlock, run, Wait};
/// let caught = run(|| catch_deadlock(|| std::future::pending::<()>().wait()))?;
/// assert!(caught.unwrap_err().to_string().starts_with("deadlock"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The deadlock.
///
/// # Panics
/// When the function does.
pub fn catch_deadlock<T>(function: impl FnOnce() -> T) -> Result<T, Deadlock> {
    let result = catch_unwind(AssertUnwindSafe(function));
    result.map_err(|payload| match payload.downcast::<Deadlock>() {
        Ok(deadlock) => *deadlock,
        Err(payload) => resume_unwind(payload),
    })
}
