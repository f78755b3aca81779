//! Calls into code that is not ours: wakers, hooks, drops. Whatever one of them throws stops here,
//! and so does an error of stderr.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::thread;

/// Writes a line to stderr in one piece, and ignores errors: `eprintln!` panics when stderr is full or
/// a pipe that its reader closed, and library code must not.
pub fn report(line: impl fmt::Display) {
    guarded(|| {
        let mut text = String::new();
        let _ = writeln!(text, "{line}"); // a `Display` that fails leaves what it wrote
        let _ = io::stderr().write_all(text.as_bytes());
    });
}

/// Calls a function; `None` if it panicked. What it panicked with is dropped here.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(drop_guarded)
        .ok()
}

/// How often what a drop panicked with may panic in its own drop, before it is leaked.
const DROPS_MAX: usize = 8;

/// Drops a value whose drop may panic. What that panics with may panic in its drop, too, and so on
/// without end: after some rounds it is leaked.
pub fn drop_guarded<T>(value: T) {
    let mut thrown = guarded_drop(value);
    for _ in 0..DROPS_MAX {
        let Err(payload) = thrown else { return };
        thrown = guarded_drop(payload);
    }
    mem::forget(thrown);
}

fn guarded_drop<T>(value: T) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| drop(value)))
}

/// Drops values that may panic in their drops, one by one: as one collection, a second panic would
/// abort the process.
pub fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_guarded);
}

/// Wakes a task. A waker that panics is reported, and ends nothing of the caller's.
pub fn wake_guarded(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        let message = panic_message(&*payload).unwrap_or("(no message)");
        report(format_args!("a waker panicked: {message}"));
        drop_guarded(payload);
    }
}

/// What a panic said, where it said it in words.
pub fn panic_message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}
