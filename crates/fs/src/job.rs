//! Jobs that block, on the loop's pool of threads, and the end of those whose futures are dropped.

use oneloop_core::{Class, Handle, Offload};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// Starts a job on the pool. All jobs of this crate start here, so that all have the class of
/// files.
fn offload<T: Send + 'static>(
    handle: &Handle,
    job: impl FnOnce() -> T + Send + 'static,
) -> Offload<T> {
    handle.offload_to(Class::Fs, job)
}

/// Runs a job on the pool of the current loop. The error of a job that panics is the panic.
pub(crate) async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    offload(&Handle::current(), job).await?
}

/// Runs a job that opens a file. Under chaos, it may lack an fd.
pub(crate) async fn opening<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // Here, as the seed's choices are made on the loop's thread.
    Handle::current().chaos_file_shortage()?;
    blocking(job).await
}

/// Drops a value on the pool, because its drop may block, and does not wait for that. If the pool's
/// queue is full, drops the value on this thread.
pub(crate) fn drop_blocking(handle: &Handle, value: impl Send + 'static) {
    // Dropping the future cancels the job, but the value in it is still dropped on the pool: the
    // thread that takes the canceled job drops it.
    drop(offload(handle, move || drop(value)));
}

/// Runs a job on the pool, and `then` on the loop with the job's result: to move a cursor, say.
///
/// ```text
///  queued ──────────▶ a thread runs it ──▶ done ──▶ `then` runs in the caller's future
///    │                   │
///    │ dropped           │ dropped
///    ▼                   ▼
///  a task waits for the thread, in both cases
///    │                   │
///    ▼                   ▼
///  neither runs        `then` runs in that task
/// ```
///
/// If the future is dropped after a thread has begun, the job takes effect, so `then` must still
/// run. The task keeps the loop alive until it has.
// A task in both cases: only the thread knows whether it has begun, and it skips the job if the
// future was dropped before.
pub(crate) async fn blocking_then<T: Send + 'static, R>(
    handle: &Handle,
    job: impl FnOnce() -> T + Send + 'static,
    then: impl FnOnce(T) -> R + 'static,
) -> io::Result<R> {
    let is_abandoned = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_abandoned);
    let job = offload(handle, move || {
        // Relaxed: a thread that misses the flag runs the job, and the task runs `then`.
        (!seen.load(Ordering::Relaxed)).then(job)
    });
    let mut guard = JobGuard {
        handle,
        is_abandoned,
        in_progress: Some((job, then)),
    };
    let done = poll_fn(|cx| match &mut guard.in_progress {
        Some((job, _)) => Pin::new(job).poll(cx),
        None => Poll::Pending,
    })
    .await;
    let in_progress = guard.in_progress.take(); // the job is done: its guard has nothing to do
    let (_, then) = in_progress.expect("only this line and the drop take it");
    let done = done?.expect("only the drop abandons the job");
    Ok(then(done))
}

/// A job in progress. If the caller's future is dropped, the guard's drop leaves the job to a task.
struct JobGuard<'a, T, R, N>
where
    T: 'static,
    N: FnOnce(T) -> R + 'static,
{
    handle: &'a Handle,
    is_abandoned: Arc<AtomicBool>,
    in_progress: Option<(Offload<Option<T>>, N)>,
}

impl<T, R, N: FnOnce(T) -> R> Drop for JobGuard<'_, T, R, N> {
    fn drop(&mut self) {
        let Some((job, then)) = self.in_progress.take() else {
            return;
        };
        self.is_abandoned.store(true, Ordering::Relaxed);
        // `then` holds the permit of its caller's turn, so the next operation waits for this task.
        self.handle.spawn_detached(async move {
            if let Ok(Some(done)) = pin!(job).await {
                drop(then(done));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop_core::EventLoop;
    use std::rc::Rc;

    #[test]
    fn a_panic_in_a_job_is_its_error_and_skips_the_effect() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        event_loop.block_on(async {
            let error = blocking(|| -> io::Result<()> { panic!("in the job") }).await;
            assert!(error.unwrap_err().to_string().contains("in the job"));
            let held = Rc::new(()); // a permit, for instance
            let inside = Rc::clone(&held);
            let then = move |()| drop(inside);
            let error = blocking_then(&handle, || panic!("in the job"), then).await;
            assert!(error.unwrap_err().to_string().contains("in the job"));
            assert_eq!(Rc::strong_count(&held), 1, "the effect is dropped");
        });
        event_loop.run().unwrap(); // nothing keeps it alive
    }
}
