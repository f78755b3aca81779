//! Work on other threads: what Node's own modules do in libuv's pool (`uv_queue_work`).

use crate::runtime::current;
use crate::thrown::Outcome;
use oneloop_core::{Class, JoinError};
use std::rc::Rc;

/// Runs a function that blocks on another thread, and calls back with what it returns, or with what it
/// panicked: see [`Handle::offload`](oneloop_core::Handle::offload). It keeps the program alive.
///
/// ```
/// use oneloop_callback::{offload, run};
/// run(|| offload(|| (1..=100).sum::<u32>(), |sum| assert_eq!(sum.unwrap(), 5050)))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
pub fn offload<T: Send + 'static, O: Outcome>(
    job: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, JoinError>) -> O + 'static,
) {
    offload_to(Class::Cpu, job, done);
}

/// Runs a function that blocks on a thread of that class: see
/// [`Handle::offload_to`](oneloop_core::Handle::offload_to).
///
/// # Panics
/// Outside of [`run`](crate::run).
pub fn offload_to<T: Send + 'static, O: Outcome>(
    class: Class,
    job: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, JoinError>) -> O + 'static,
) {
    let runtime = current();
    let job = runtime.handle.offload_to(class, job);
    let inside = Rc::clone(&runtime);
    runtime.handle.spawn_detached(async move {
        let result = job.await;
        inside.make_callback(|| done(result).into_result());
    });
}
