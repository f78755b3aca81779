//! The end of a server: the request to end, the tasks that finish their work, and a limit for that.

use crate::task_tracker::{TaskTracker, TaskTrackerToken};
use crate::time::timeout;
use oneloop_core::{CancelHandle, Handle, JoinHandle, Key, Slots, Unless};
use oneloop_sync::{Requested, ShutdownToken};
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Ends a server in order: a signal requests the end, its tasks finish their work, and those that
/// take too long are canceled.
///
/// It is a [`ShutdownToken`] and a [`TaskTracker`], and cancels what the tracker cannot:
///
/// ```text
///  signal ──▶ the accept loop ends ──▶ drain: each task sees the token ──▶ all have ended: 0
///                                        └── the limit passes ──▶ cancels the rest: their number
/// ```
///
/// ```no_run
/// use oneloop::aio::{GracefulShutdown, TcpListener, TcpStream};
/// use oneloop::signal::{SIGINT, SIGTERM};
/// use oneloop::sync::ShutdownToken;
/// use std::{io, time::Duration};
///
/// async fn serve(stream: TcpStream, shutdown: ShutdownToken) -> io::Result<()> {
///     // A message that came in is answered; the wait for the next one ends.
///     while let Some(received) = shutdown.run(stream.read_chunk()).await {
///         let Some(chunk) = received? else { break };
///         stream.write_all(&chunk).await?;
///     }
///     Ok(())
/// }
///
/// #[oneloop::main]
/// async fn main() -> io::Result<()> {
///     let shutdown = GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?;
///     let listener = TcpListener::bind("127.0.0.1:8080")?;
///     while let Some(accepted) = shutdown.run(listener.accept()).await {
///         let (stream, _peer) = accepted?;
///         shutdown.spawn(serve(stream, shutdown.token().clone()));
///     }
///     drop(listener); // new clients are refused
///     let canceled = shutdown.drain(Duration::from_secs(10)).await;
///     eprintln!("{canceled} clients did not finish in time");
///     Ok(())
/// }
/// ```
///
/// A clone is a handle to the same shutdown. Dropping it cancels nothing. A panic of a task is
/// reported, unless its [`JoinHandle`] is awaited. A task costs no more per poll than one that is
/// spawned elsewhere, and one place in a list.
#[derive(Clone, Default)]
#[doc(alias("graceful", "drain", "terminus", "SIGTERM"))]
pub struct GracefulShutdown {
    state: Rc<ShutdownState>,
}

#[derive(Default)]
struct ShutdownState {
    token: ShutdownToken,
    tasks: TaskTracker,
    /// The tasks that have not ended. `None` while a task is being spawned.
    running: RefCell<Slots<Option<CancelHandle>>>,
}

impl GracefulShutdown {
    /// Creates a shutdown that [`ShutdownToken::trigger`] or [`GracefulShutdown::drain`] begins.
    pub fn new() -> Self {
        GracefulShutdown::default()
    }

    /// Creates a shutdown that begins with the first of these signals: see
    /// [`ShutdownToken::on_signals`]. Later signals have their previous actions, so a second Ctrl-C
    /// ends a program that drains.
    ///
    /// # Errors
    /// As [`Signals::new`](oneloop_core::Signals::new).
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn on_signals(numbers: &[i32]) -> io::Result<Self> {
        Ok(GracefulShutdown::with(ShutdownToken::on_signals(numbers)?))
    }

    /// Creates a shutdown that begins with this token, such as the child of another one.
    pub fn with(token: ShutdownToken) -> Self {
        GracefulShutdown {
            state: Rc::new(ShutdownState {
                token,
                ..ShutdownState::default()
            }),
        }
    }

    /// The token that requests the end: for tasks, which wait for it or check it.
    pub fn token(&self) -> &ShutdownToken {
        &self.state.token
    }

    /// The tracker that counts the tasks: for a [token](TaskTracker::token) of other work to wait
    /// for, which is not canceled.
    pub fn tasks(&self) -> &TaskTracker {
        &self.state.tasks
    }

    /// Waits for a future, unless the end is requested first: see [`ShutdownToken::run`]. Cancel
    /// safe if the future is.
    pub fn run<F: Future>(&self, future: F) -> Unless<F, Requested> {
        self.state.token.run(future)
    }

    /// Starts a task on the current loop, for which [`GracefulShutdown::drain`] waits.
    ///
    /// # Panics
    /// Outside a loop.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let state = &self.state;
        let key = state.running.borrow_mut().insert(None);
        let member = Member {
            key,
            state: Rc::clone(state),
            _counted: state.tasks.token(),
        };
        let task = Handle::current().spawn(DrainedFuture { future, member });
        // The member is gone already if the loop is being dropped.
        if let Some(running) = state.running.borrow_mut().get_mut(key) {
            *running = Some(task.cancel_handle());
        }
        task
    }

    /// Requests the end, and waits until all tasks have ended. After `limit` it cancels the rest, and
    /// returns their number.
    ///
    /// Cancel safe: the end is requested, and another call waits for the rest. A task that drains
    /// itself waits for itself, and is canceled after the limit.
    ///
    /// ```
    /// use oneloop::aio::{GracefulShutdown, sleep};
    /// use oneloop::{EventLoop, Options};
    /// use std::time::Duration;
    ///
    /// let mut event_loop = EventLoop::with(Options::virtual_time())?;
    /// event_loop.block_on(async {
    ///     let shutdown = GracefulShutdown::new();
    ///     for seconds in [1, 5, 3600] {
    ///         shutdown.spawn(sleep(Duration::from_secs(seconds)));
    ///     }
    ///     assert_eq!(shutdown.drain(Duration::from_secs(10)).await, 1);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    /// Outside a loop.
    pub async fn drain(&self, limit: Duration) -> usize {
        let state = &self.state;
        state.token.trigger();
        state.tasks.close();
        if timeout(limit, state.tasks.wait()).await.is_ok() {
            return 0;
        }
        let running: Vec<_> = {
            let running = state.running.borrow(); // not while they are canceled, which drops them
            running
                .iter()
                .filter_map(|(_, task)| task.clone())
                .collect()
        };
        running.iter().for_each(CancelHandle::cancel);
        running.len()
    }
}

impl fmt::Debug for GracefulShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GracefulShutdown")
            .field("token", &self.state.token)
            .field("tasks", &self.state.tasks)
            .finish()
    }
}

/// A task's place in the list, until the task ends.
struct Member {
    key: Key<Option<CancelHandle>>,
    state: Rc<ShutdownState>,
    // Declared last: the task leaves the list, and then it has ended.
    _counted: TaskTrackerToken,
}

impl Drop for Member {
    fn drop(&mut self) {
        let canceler = self.state.running.borrow_mut().remove(self.key);
        drop(canceler);
    }
}

pin_project! {
    /// The future of a task, and the task's place in the list.
    struct DrainedFuture<F> {
        #[pin]
        future: F,
        // Declared last: a task has ended when its future is dropped.
        member: Member,
    }
}

impl<F: Future> Future for DrainedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}
