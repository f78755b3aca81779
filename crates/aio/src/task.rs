//! Starting tasks.

use oneloop_core::{Class, EventLoop, Handle, JoinHandle, Offload};
use std::future::Future;

pub use oneloop_core::yield_now;

/// Makes a loop, runs it until this future completes, and drops the tasks that are left on it.
///
/// ```
/// use oneloop::aio::{block_on, spawn};
/// let sum = block_on(async {
///     let (a, b) = (spawn(async { 1 }), spawn(async { 2 }));
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(sum, 3);
/// ```
///
/// # Panics
/// When the future panics; inside of a running loop, which this call would block (`.await` the
/// future there, or [`spawn`] it); and when no loop can be made for lack of fds:
/// [`EventLoop::new`] returns that as an error.
#[doc(alias("main", "Runtime", "asyncio_run", "run_until_complete"))]
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    // A new loop each time, and not one per thread: its drop ends the tasks that the future has
    // left.
    EventLoop::new()
        .expect("an event loop needs two fds")
        .block_on(future)
}

/// Starts a task on the current loop: see [`Handle::spawn`].
///
/// # Panics
/// Outside a loop.
#[track_caller]
#[doc(alias("spawn_local", "create_task", "ensure_future"))]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    Handle::current().spawn(future)
}

/// Runs a function that blocks on another thread, and returns its result: see [`Handle::offload`].
/// Cancel safe: a job that has not begun is canceled, and a result that comes later is dropped.
///
/// ```
/// use oneloop::aio::{block_on, offload};
/// let sum = block_on(async { offload(|| (1..=100).sum::<u32>()).await });
/// assert_eq!(sum.unwrap(), 5050);
/// ```
///
/// # Panics
/// Outside a loop.
#[doc(alias("spawn_blocking", "block_in_place", "run_in_executor"))]
#[doc(alias("to_thread", "unblock"))]
#[track_caller]
pub fn offload<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Offload<T> {
    // Functions of unknown duration stay apart from files and names, whose threads must not run
    // out.
    offload_to(Class::Cpu, job)
}

/// Runs a function that blocks on a thread of a class: see [`Handle::offload_to`]. Cancel safe as
/// [`offload`].
///
/// # Panics
/// Outside a loop.
#[track_caller]
pub fn offload_to<T: Send + 'static>(
    class: Class,
    job: impl FnOnce() -> T + Send + 'static,
) -> Offload<T> {
    Handle::current().offload_to(class, job)
}
