//! Work on other threads: libuv's `uv_queue_work`, which Node's own modules use.

use crate::runtime::current;
use crate::thrown::{IntoResult, callback_of};
use oneloop_core::{Class, JoinError};
use std::rc::Rc;

/// Runs a function that blocks on another thread, and calls `done` with what it returned, or with
/// its panic: see [`Handle::offload`](oneloop_core::Handle::offload). It keeps the program alive.
///
/// ```
/// use oneloop::callback::{offload, run};
/// run(|| offload(|| (1..=100).sum::<u32>(), |sum| assert_eq!(sum.unwrap(), 5050)))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[doc(alias("uv_queue_work", "worker_threads", "Worker"))]
#[track_caller]
pub fn offload<T: Send + 'static, O: IntoResult>(
    job: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, JoinError>) -> O + 'static,
) {
    offload_to(Class::Cpu, job, done);
}

/// Runs a function that blocks on a thread of a class: see
/// [`Handle::offload_to`](oneloop_core::Handle::offload_to).
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn offload_to<T: Send + 'static, O: IntoResult>(
    class: Class,
    job: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, JoinError>) -> O + 'static,
) {
    let runtime = current();
    let job = runtime.handle.offload_to(class, job);
    let inside = Rc::clone(&runtime);
    runtime.handle.spawn_detached(async move {
        let result = job.await;
        let of = callback_of(&done);
        inside.make_callback(|| of.result(done(result)));
    });
}
