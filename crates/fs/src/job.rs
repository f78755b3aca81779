//! How what blocks gets to the pool, and what becomes of it when nobody waits any more.

use oneloop_core::{Class, Handle, Offload};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// The only way from here to the pool.
fn offload<T: Send + 'static>(
    handle: &Handle,
    job: impl FnOnce() -> T + Send + 'static,
) -> Offload<T> {
    handle.offload_to(Class::Fs, job)
}

/// Does something that blocks, on the pool of the loop that runs. A panic in it is its error.
pub(crate) async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    offload(&Handle::current(), job).await?
}

/// Drops something on the pool, as its drop may block; nobody waits for it. If the pool's queue is full, it is
/// dropped here.
pub(crate) fn drop_blocking(handle: &Handle, value: impl Send + 'static) {
    // A job that is given up is dropped by the thread that comes to it, with what is in it.
    drop(offload(handle, move || drop(value)));
}

/// Does something that blocks and that has an effect to be noted here, on the loop: where the cursor is,
/// say. Dropped before a thread has begun, it is not done; after that, its effect is noted all the same, and
/// the loop is kept alive until it is.
pub(crate) async fn noted<T: Send + 'static, R>(
    handle: &Handle,
    job: impl FnOnce() -> T + Send + 'static,
    note: impl FnOnce(T) -> R + 'static,
) -> io::Result<R> {
    let given_up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&given_up);
    let job = offload(handle, move || {
        // Relaxed: whoever sees it late does what was asked for, and that is noted.
        (!seen.load(Ordering::Relaxed)).then(job)
    });
    let mut rest = Rest {
        handle,
        given_up,
        under_way: Some((job, note)),
    };
    let done = poll_fn(|cx| match &mut rest.under_way {
        Some((job, _)) => Pin::new(job).poll(cx),
        None => Poll::Pending,
    })
    .await;
    let under_way = rest.under_way.take(); // it is through, so nothing is left of it
    let (_, note) = under_way.expect("it is taken here only");
    let done = done?.expect("it was not given up");
    Ok(note(done))
}

/// What is left of a job when the future that waits for it goes.
struct Rest<'a, T, R, N>
where
    T: 'static,
    N: FnOnce(T) -> R + 'static,
{
    handle: &'a Handle,
    given_up: Arc<AtomicBool>,
    under_way: Option<(Offload<Option<T>>, N)>,
}

impl<T, R, N: FnOnce(T) -> R> Drop for Rest<'_, T, R, N> {
    fn drop(&mut self) {
        let Some((job, note)) = self.under_way.take() else {
            return;
        };
        self.given_up.store(true, Ordering::Relaxed);
        self.handle.spawn_detached(async move {
            if let Ok(Some(done)) = pin!(job).await {
                drop(note(done));
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
    fn a_panic_in_a_job_is_its_error_and_is_not_noted() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        event_loop.block_on(async {
            let error = blocking(|| -> io::Result<()> { panic!("in the job") }).await;
            assert!(error.unwrap_err().to_string().contains("in the job"));
            let held = Rc::new(()); // such as the turn of a file
            let inside = Rc::clone(&held);
            let note = move |()| drop(inside);
            let error = noted(&handle, || panic!("in the job"), note).await;
            assert!(error.unwrap_err().to_string().contains("in the job"));
            assert_eq!(
                Rc::strong_count(&held),
                1,
                "what the note holds is let go of"
            );
        });
        event_loop.run().unwrap(); // nothing is left that it would wait for
    }
}
