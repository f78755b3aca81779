//! A call with a callback: it begins now, and its callback runs in a later turn.

use crate::runtime::{current, in_later_turn};
use crate::thrown::{IntoResult, callback_of};
use oneloop_core::Handle;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Begins a call now, and calls a function with its result in a later turn.
#[track_caller]
pub(super) fn begin<T: 'static, O: IntoResult>(
    call: impl Future<Output = T> + 'static,
    callback: impl FnOnce(T) -> O + 'static,
) {
    let runtime = current();
    let inside = Rc::clone(&runtime);
    let mut call = Box::pin(in_later_turn(call));
    // `enter` allows calls before the loop runs; those begin when their task first runs.
    if Handle::try_current().is_some() {
        // The pool's thread starts now, as libuv's does, and not when the new task first runs,
        // behind all that is ready. That first run then registers the task's waker.
        let begun = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(begun.is_pending(), "this turn is no later one");
    }
    runtime.handle.spawn_detached(async move {
        let result = call.await;
        let of = callback_of(&callback);
        inside.make_callback(|| of.result(callback(result)));
    });
}
