//! What a callback throws, in Rust's terms: an `Err` that it returns, or a panic.

use oneloop_core::{drop_guarded, panic_message};
use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;
use std::rc::Rc;

/// An error on its way to `uncaught_exception`. Clones are the same error.
#[derive(Clone)]
pub struct Thrown {
    message: Rc<str>,
    source: Option<Rc<dyn Error>>,
}

impl Thrown {
    /// What a callback threw by unwinding. The payload is dropped here, as its drop may panic.
    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        if payload.is::<Rethrown>()
            && let Some(thrown) = THROWN.take()
        {
            return thrown;
        }
        let text = panic_message(&*payload).unwrap_or("a panic without a message");
        let message = text.into();
        drop_guarded(payload);
        Thrown {
            message,
            source: None,
        }
    }

    /// What JavaScript has as `error.message`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error that was returned; none for a panic.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref()
    }
}

/// An error is the program's own value, and may panic in its drop: that must not end a driver.
impl Drop for Thrown {
    fn drop(&mut self) {
        drop_guarded(self.source.take());
    }
}

thread_local! {
    /// What is being thrown through a function that returns something else.
    static THROWN: Cell<Option<Thrown>> = const { Cell::new(None) };
}

/// What an error unwinds with on its way through code that cannot return it, as an exception does in
/// JavaScript: a listener throws while `pause()` tells of it.
struct Rethrown;

/// Gives the value, or unwinds with the error.
pub(crate) fn or_rethrow<T>(result: Result<T, Thrown>) -> T {
    match result {
        Ok(value) => value,
        Err(thrown) => {
            THROWN.set(Some(thrown));
            resume_unwind(Box::new(Rethrown))
        }
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for Thrown {
    fn from(error: E) -> Self {
        let error = error.into();
        Thrown {
            message: error.to_string().into(),
            source: Some(error.into()),
        }
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl fmt::Debug for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thrown({:?})", self.message)
    }
}

/// What a callback may return: nothing, or a `Result` whose error counts as thrown.
pub trait Outcome {
    /// The same as a `Result`.
    fn into_result(self) -> Result<(), Thrown>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Thrown> {
        Ok(())
    }
}

/// For callbacks that never return, such as those that end in [`process::exit`](crate::process::exit).
impl Outcome for std::convert::Infallible {
    fn into_result(self) -> Result<(), Thrown> {
        match self {}
    }
}

/// For callbacks that never return and do not say so: what `|| panic!()` returns is `!`, which has no
/// name of its own in stable Rust.
#[expect(private_interfaces, reason = "the trait only names a type")]
impl Outcome for <fn() -> ! as Returns>::Output {
    fn into_result(self) -> Result<(), Thrown> {
        self
    }
}

/// What a function returns.
trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl<T, E: Into<Thrown>> Outcome for Result<T, E> {
    fn into_result(self) -> Result<(), Thrown> {
        self.map(drop).map_err(Into::into)
    }
}
