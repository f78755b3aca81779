//! How a green thread ended, and the slot that holds its result.

use oneloop_core::JoinError;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// How a green thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its function returned.
    Returned,
    /// Its function panicked, or a payload was thrown into it.
    Panicked,
    /// It was killed.
    Killed,
    /// It was canceled before it began, or its loop was dropped.
    Canceled,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Returned => "the green thread returned",
            Outcome::Panicked => "the green thread panicked",
            Outcome::Killed => "the green thread was killed",
            Outcome::Canceled => "the green thread was canceled",
        })
    }
}
impl std::error::Error for Outcome {}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, JoinError>) -> Self {
        match result {
            Ok(_) => Outcome::Returned,
            Err(JoinError::Panicked(_)) => Outcome::Panicked,
            Err(JoinError::Killed) => Outcome::Killed,
            Err(JoinError::Canceled) => Outcome::Canceled,
        }
    }
}

/// Holds a green thread's result from its end until it is taken.
pub(crate) struct ResultSlot<T> {
    // A `Cell`: no borrow can be held while a user's code looks at the result.
    result: Cell<Option<Result<T, JoinError>>>,
}

impl<T> Default for ResultSlot<T> {
    fn default() -> Self {
        ResultSlot {
            result: Cell::new(None),
        }
    }
}

impl<T> ResultSlot<T> {
    pub(crate) fn store(&self, result: Result<T, JoinError>) {
        self.result.set(Some(result));
    }

    pub(crate) fn take(&self) -> Option<Result<T, JoinError>> {
        self.result.take()
    }

    /// Calls `look` with the result. The result is out of the slot meanwhile, so that `look` finds
    /// nothing borrowed, and is put back even if `look` panics.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Result<T, JoinError>) -> R) -> Option<R> {
        let result = self.result.take()?;
        let seen = panic::catch_unwind(AssertUnwindSafe(|| look(&result)));
        self.result.set(Some(result));
        Some(seen.unwrap_or_else(|payload| panic::resume_unwind(payload)))
    }
}

/// A [`ResultSlot`] without its type: a record does not know what its thread returns.
pub(crate) trait AnyResult {
    fn fail(&self, error: JoinError);
    fn outcome(&self) -> Option<Outcome>;
    /// Takes a panic that no handle can take anymore.
    fn take_panic(&self) -> Option<JoinError>;
}

impl<T> AnyResult for ResultSlot<T> {
    fn fail(&self, error: JoinError) {
        self.store(Err(error));
    }

    fn outcome(&self) -> Option<Outcome> {
        self.peek(Outcome::of)
    }

    fn take_panic(&self) -> Option<JoinError> {
        // Looked at first: a value stays for its handle.
        if self.outcome() != Some(Outcome::Panicked) {
            return None;
        }
        self.take()?.err()
    }
}
