//! Calls into foreign code: wakers, hooks, drops (rule 13). A panic in one of them stops here, and
//! so does an error of stderr.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::thread;

/// Writes a line to stderr in one piece and ignores errors. `eprintln!` panics when stderr is full,
/// or is a pipe whose reader is gone; library code must not.
pub fn report(line: impl fmt::Display) {
    guarded(|| {
        // One write(2): lines of several threads or processes on one stderr do not mix.
        let mut text = String::new();
        let _ = writeln!(text, "{line}"); // a `Display` that fails still leaves its first part
        let _ = io::stderr().write_all(text.as_bytes());
    });
}

/// Calls a function. Returns `None` if it panicked, and drops the panic's payload.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(drop_guarded)
        .ok()
}

/// The number of payloads in a row whose drops may panic before the last one is leaked.
const DROPS_MAX: usize = 8;

/// Drops a value whose drop may panic.
///
/// The payload of that panic may panic in its own drop, and so on without end; after some rounds
/// the last payload is leaked.
pub fn drop_guarded<T>(value: T) {
    let mut thrown = guarded_drop(value);
    for _ in 0..DROPS_MAX {
        let Err(payload) = thrown else { return };
        thrown = guarded_drop(payload);
    }
    // Eight payloads in a row panic only on purpose. A leak is better than an endless loop.
    mem::forget(thrown);
}

fn guarded_drop<T>(value: T) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| drop(value)))
}

/// Drops values whose drops may panic, one by one. In the drop of one collection, a second panic
/// would abort the process.
pub fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_guarded);
}

/// Wakes a task. A panic in the waker is reported and does not reach the caller.
pub fn wake_guarded(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        let message = panic_message(&*payload).unwrap_or("(no message)");
        report(format_args!("a waker panicked: {message}"));
        drop_guarded(payload);
    }
}

/// The message of a panic, if its payload is a string.
pub fn panic_message(payload: &(dyn Any + Send)) -> Option<&str> {
    // `panic!("text")` has a `&str`, and `panic!("{x}")` a `String`; `panic_any` may have anything.
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}

/// What helps after the panic of a crate that calls tokio outside of tokio's context.
const TOKIO_HINT: &str = "on a loop of oneloop, run the code in `oneloop_tokio::enter(future)`, or \
     the program in `oneloop_tokio::block_on(future)`";

/// The advice that belongs to a panic with this message, if there is any.
pub(crate) fn advice(payload: &(dyn Any + Send)) -> Option<&'static str> {
    let message = panic_message(payload)?;
    // tokio's words for a missing or unsuitable context. Advice that was given is not repeated.
    let is_missing = message.contains("Tokio 1.x") && !message.contains(TOKIO_HINT);
    is_missing.then_some(TOKIO_HINT)
}

/// Adds the advice to the message of a panic.
pub(crate) fn advised(payload: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    match (advice(&*payload), panic_message(&*payload)) {
        (Some(advice), Some(message)) => Box::new(format!("{message}; {advice}")),
        _ => payload,
    }
}
