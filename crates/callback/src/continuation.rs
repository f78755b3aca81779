//! Boxed functions that are called once: what runs next, and what receives the end of an operation.

use crate::error::Error;
use crate::thrown::{IntoResult, Thrown, callback_of};

/// A callback that is called once.
pub(crate) type Once = Box<dyn FnOnce() -> Result<(), Thrown>>;

/// The optional last argument of Node's functions: it is called with the result of an operation.
pub(crate) type Then<T = (), E = Error> = Box<dyn FnOnce(Result<T, E>) -> Result<(), Thrown>>;

pub(crate) fn once<O: IntoResult>(f: impl FnOnce() -> O + 'static) -> Once {
    let of = callback_of(&f);
    Box::new(move || of.result(f()))
}

pub(crate) fn then<T, E, O: IntoResult>(f: impl FnOnce(Result<T, E>) -> O + 'static) -> Then<T, E> {
    let of = callback_of(&f);
    Box::new(move |result| of.result(f(result)))
}
