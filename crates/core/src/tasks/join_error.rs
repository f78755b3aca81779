//! The end of a task without a result.

use crate::mechanisms::guard::panic_message;
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;

/// Why a task has no result.
pub enum JoinError {
    /// The task was canceled, or its loop was dropped.
    Canceled,
    /// The task is a green thread that was killed.
    Killed,
    /// The task panicked with this payload.
    Panicked(Box<dyn Any + Send>),
}

impl JoinError {
    /// The message of the panic, if its payload is a string.
    pub fn panic_message(&self) -> Option<&str> {
        match self {
            JoinError::Panicked(payload) => panic_message(&**payload),
            _ => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Canceled => f.write_str("the task was canceled"),
            JoinError::Killed => f.write_str("the task was killed"),
            JoinError::Panicked(_) => {
                let message = self.panic_message().unwrap_or("(no message)");
                write!(f, "the task panicked: {message}")
            }
        }
    }
}
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}
impl std::error::Error for JoinError {}
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error.to_string())
    }
}

/// The payload with which a style unwinds when the program exits in the middle of a task.
/// [`Handle::report_unhandled`](crate::Handle::report_unhandled) does not take it for a panic.
#[derive(Debug)]
pub struct ExitRequest {
    /// The program's exit code.
    pub code: u8,
}

/// A panic in a task whose [`JoinHandle`](crate::JoinHandle) was dropped: see
/// [`Handle::on_unhandled`](crate::Handle::on_unhandled).
#[derive(Debug)]
pub struct Unhandled {
    /// The panic.
    pub error: JoinError,
    /// The place where the task was spawned.
    pub spawned_at: &'static Location<'static>,
}

impl Unhandled {
    /// True if the task ended because the program exits.
    pub(crate) fn is_exit(&self) -> bool {
        matches!(&self.error, JoinError::Panicked(payload) if payload.is::<ExitRequest>())
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (spawned at {}, and never joined)",
            self.error, self.spawned_at
        )
    }
}
