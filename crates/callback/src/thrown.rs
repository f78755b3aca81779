//! What a callback throws: in Rust, an `Err` that it returns, or a panic.

use oneloop_core::{drop_guarded, panic_message};
use std::any::{Any, type_name};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::rc::Rc;

/// An error on its way to `uncaught_exception`. Clones are the same error.
#[derive(Clone)]
#[doc(alias("throw", "exception"))]
pub struct Thrown {
    message: Rc<str>,
    source: Option<Rc<dyn Error>>,
    /// Describes what threw it; `None` for a panic, whose place its hook prints.
    place: Option<fn() -> String>,
}

impl Thrown {
    /// The error of a callback that unwound. The payload is dropped here, guarded: its drop may
    /// panic.
    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        // The error itself is in the thread-local, with its type and source.
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
            place: None,
        }
    }

    /// JavaScript's `error.message`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// JavaScript's `error.stack`: the message, and a line that names the callback that threw the
    /// error, by the function that it is written in; or the event that had no listener. A panic has
    /// the message alone, as its hook has printed its place.
    ///
    /// ```
    /// use oneloop::callback::{process, run, set_timeout};
    ///
    /// run(|| {
    ///     process::on_uncaught_exception(|thrown, _| {
    ///         let stack = thrown.stack();
    ///         let (message, place) = stack.split_once("\n    at ").expect("it names the callback");
    ///         assert_eq!(message, "invalid digit found in string");
    ///         assert!(place.ends_with("::{{closure}}"), "{place}");
    ///     });
    ///     set_timeout(|| "12a".parse::<u32>().map(drop), 1);
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stack(&self) -> String {
        let place = self.place.map(|place| format!("\n    at {}", place()));
        format!("{}{}", self.message, place.unwrap_or_default())
    }

    /// The same error with its place, unless a callback that was called deeper has named it.
    fn thrown_at(mut self, place: fn() -> String) -> Self {
        self.place.get_or_insert(place);
        self
    }

    /// The same error, of an event without a listener.
    pub(crate) fn without_listener<E>(self) -> Self {
        self.thrown_at(|| {
            let event = type_name::<E>();
            // The name that a program knows it by.
            let event = event.replacen("oneloop_", "oneloop::", 1);
            format!("{event}, which has no listener")
        })
    }

    /// The error that was returned; `None` for a panic.
    pub fn error(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref()
    }
}

/// Drops a value of the program, which may panic: that must not end a driver.
impl Drop for Thrown {
    fn drop(&mut self) {
        drop_guarded(self.source.take());
    }
}

thread_local! {
    /// The error on its way through a function that cannot return it. A panic payload must be
    /// `Send`, and this is not.
    static THROWN: Cell<Option<Thrown>> = const { Cell::new(None) };
}

/// The panic payload of an error that passes through code that cannot return it, as an exception
/// does in JavaScript: a listener throws while `pause()` emits its event.
struct Rethrown;

/// Returns the value, or unwinds with the error. It is not a panic: no hook prints it.
pub(crate) fn or_rethrow<T>(result: Result<T, Thrown>) -> T {
    match result {
        Ok(value) => value,
        Err(thrown) => {
            // Unwinding by `resume_unwind` runs no panic hook, so nothing is printed.
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
            place: None,
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
#[diagnostic::on_unimplemented(
    message = "a callback cannot return `{Self}`",
    note = "a callback returns nothing, which a semicolon after its last expression does, or a \
            `Result` whose error counts as thrown",
    note = "a future does nothing until it is awaited, so a semicolon would lose it: write \
            `let _ = oneloop::callback::spawn_micro(async move {{ … }});`, or use a method that \
            does not wait, such as a queue's `try_put`"
)]
pub trait IntoResult {
    /// Converts it to a `Result`.
    fn into_result(self) -> Result<(), Thrown>;
}

impl IntoResult for () {
    fn into_result(self) -> Result<(), Thrown> {
        Ok(())
    }
}

/// For callbacks that never return, such as those that end in
/// [`process::exit`](crate::process::exit): they return `!`, a type that stable Rust cannot name
/// directly.
// `Infallible` has no implementation: it becomes an alias of `!` in a later Rust, and then two
// implementations for one type would no longer compile.
#[expect(private_interfaces, reason = "the trait only names a type")]
// Keeps the compiler's list of the types that a callback may return free of this private trait.
#[diagnostic::do_not_recommend]
impl IntoResult for <fn() -> ! as Returns>::Output {
    fn into_result(self) -> Result<(), Thrown> {
        self
    }
}

/// The type of a callback, which has the name of the function around it. It takes no memory, so no
/// socket gets larger for an error that is seldom thrown.
pub(crate) struct CallbackOf<F>(PhantomData<fn() -> F>);

/// For what `callback` will return.
pub(crate) fn callback_of<F>(callback: &F) -> CallbackOf<F> {
    let _ = callback;
    CallbackOf(PhantomData)
}

impl<F> CallbackOf<F> {
    /// What the callback returned, as a `Result` whose error knows where it was thrown.
    pub(crate) fn result(&self, returned: impl IntoResult) -> Result<(), Thrown> {
        let place = || type_name::<F>().to_owned();
        let result = returned.into_result();
        result.map_err(|thrown| thrown.thrown_at(place))
    }
}

/// Names the return type of a function pointer.
trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl<T, E: Into<Thrown>> IntoResult for Result<T, E> {
    fn into_result(self) -> Result<(), Thrown> {
        self.map(drop).map_err(Into::into)
    }
}
