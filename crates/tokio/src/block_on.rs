//! A context whose runtime is around the loop, on one thread.

use oneloop_core::{EventLoop, Handle, JoinError, JoinHandle, KeepAlive, check_nesting};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep};

/// Runs a future and its loop inside of a tokio runtime, all on this thread, and returns the
/// future's output.
///
/// Every task of the loop is in the tokio context. What a crate passes to `tokio::spawn` or
/// `tokio::task::spawn_local` runs on this thread, between the turns of the loop. At the end, the
/// tasks that are left on the loop are dropped, then those on tokio's runtime.
///
/// ```
/// use oneloop::aio::{sleep, spawn};
/// use std::time::Duration;
/// let answer = oneloop_tokio::block_on(async {
///     let ours = spawn(async {
///         sleep(Duration::from_millis(1)).await;
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         20
///     });
///     let theirs = tokio::spawn(async { 22 });
///     ours.await.unwrap() + theirs.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
///
/// tokio's thread waits for both. It wakes for the loop's fd and for the loop's next timer, then
/// takes one turn of the loop, then runs its own tasks. Its timers are exact to a millisecond, and
/// so are the loop's here.
///
/// A task of tokio is no task of the loop: `Handle::current()`, and what needs it, panics there. It
/// reaches the loop by channels, or by a [`Remote`](oneloop_core::Remote).
///
/// # Panics
/// If the future panics; if no runtime or no loop can be made for lack of fds; inside of a running
/// loop or of a tokio runtime, which this call would block.
#[track_caller]
#[doc(alias("Runtime", "LocalRuntime", "tokio_main"))]
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    if let Err(refused) = check_nesting("oneloop_tokio::block_on") {
        panic!("{refused}");
    }
    let mut builder = Builder::new_current_thread();
    let runtime = builder
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a tokio runtime needs three fds");
    // The loop is made and dropped in there: its tasks may need the context in their drops. Without
    // `unconstrained`, all of them would share the budget that tokio gives to one of its tasks.
    let ended = runtime.block_on(unconstrained(async {
        let mut nested = Nested::new(future).expect("an event loop needs three fds");
        poll_fn(|cx| nested.poll(cx)).await
    }));
    match ended {
        Ok(output) => output,
        Err(JoinError::Panicked(payload)) => resume_unwind(payload),
        Err(error) => panic!("the future of block_on has no result: {error}"),
    }
}

/// The loop, as a future of tokio.
struct Nested<T> {
    event_loop: EventLoop,
    handle: Handle,
    /// The future of `block_on`: a task as any other, so that its wakes are those of the loop.
    main: JoinHandle<T>,
    /// The loop's epoll instance.
    fd: AsyncFd<OwnedFd>,
    /// Until the loop's next timer.
    timer: Pin<Box<Sleep>>,
    /// A loop in which nothing can happen any more asks for a turn at once. This one may wait for
    /// what tokio does.
    _keep_alive: KeepAlive,
}

impl<T: 'static> Nested<T> {
    fn new(future: impl Future<Output = T> + 'static) -> io::Result<Self> {
        let event_loop = EventLoop::new()?;
        let handle = event_loop.handle();
        let fd = event_loop.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose fd changes: that of an `OwnedFd` does not"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Nested {
            main: handle.spawn(future),
            fd,
            timer: Box::pin(sleep(Duration::ZERO)),
            _keep_alive: handle.keep_alive(),
            event_loop,
            handle,
        })
    }

    /// Takes a turn of the loop if there is something to do.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let ready = match self.fd.poll_read_ready(cx) {
            Poll::Ready(ready) => Some(ready.expect("tokio's driver runs")),
            Poll::Pending => None,
        };
        let timeout = self.event_loop.backend_timeout();
        if ready.is_none() && sleep_for(timeout, &mut self.timer, cx).is_pending() {
            return Poll::Pending;
        }
        let events = self.handle.stats().events;
        let turn = self.event_loop.run_nowait();
        if let Err(error) = turn {
            panic!("{error}"); // our epoll fd and its buffer are valid, so we were forked
        }
        // tokio's epoll reports edges of ours, and none while ours still has events.
        if let Some(mut ready) = ready
            && self.handle.stats().events == events
        {
            ready.clear_ready();
        }
        if self.main.is_finished() {
            return Pin::new(&mut self.main).poll(cx);
        }
        // Looks for more once tokio's own tasks have run.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Waits until the loop has a timer that is due, or a task that is ready.
fn sleep_for(
    timeout: Option<Duration>,
    timer: &mut Pin<Box<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match timeout {
        Some(Duration::ZERO) => Poll::Ready(()),
        Some(timeout) => {
            timer.as_mut().reset(Instant::now() + timeout);
            timer.as_mut().poll(cx)
        }
        None => Poll::Pending,
    }
}
