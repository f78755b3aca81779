//! A point at which a number of tasks wait for each other.

use crate::waiters::{SharedState, Ticket, Waiters};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A point at which a number of tasks wait for each other, again and again: tokio's and the
/// standard library's `Barrier`.
///
/// ```
/// use oneloop::aio::{block_on, join_all, spawn};
/// use oneloop::sync::Barrier;
///
/// block_on(async {
///     let barrier = Barrier::new(3);
///     let tasks = (0..3).map(|_| {
///         let barrier = barrier.clone();
///         spawn(async move { barrier.wait().await.is_leader() })
///     });
///     let leaders = join_all(tasks).await;
///     let leaders = leaders.into_iter().filter(|is_leader| *is_leader.as_ref().unwrap());
///     assert_eq!(leaders.count(), 1);
/// });
/// ```
///
/// A green thread calls `barrier.wait().wait()`, and a callback waits in
/// `spawn_micro(async move { barrier.wait().await; … })`.
#[derive(Clone)]
#[doc(alias = "CyclicBarrier")]
pub struct Barrier {
    state: SharedState<BarrierState>,
}

struct BarrierState {
    size: usize,
    /// The tasks that have arrived.
    line: Waiters,
}

impl Barrier {
    /// Creates a barrier for `size` tasks at a time. 0 means 1: no task waits.
    pub fn new(size: usize) -> Self {
        Barrier {
            state: SharedState::new(BarrierState {
                size,
                line: Waiters::default(),
            }),
        }
    }

    /// Waits until as many tasks as the size of the barrier have arrived; a task arrives when the
    /// future is first polled. The last one to arrive is the leader and continues at once, and the
    /// others are woken in the order in which they came. Then the barrier is empty again.
    ///
    /// Cancel safe, unlike tokio's: a task that gives up has not arrived.
    pub fn wait(&self) -> BarrierWait {
        BarrierWait {
            barrier: self.clone(),
            ticket: None,
        }
    }

    /// Returns the number of tasks that have arrived and wait for others.
    pub fn waiting(&self) -> usize {
        self.state.look(|state| state.line.len())
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("size", &self.state.look(|state| state.size))
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`Barrier::wait`]; the task arrives when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct BarrierWait {
    barrier: Barrier,
    ticket: Option<Ticket<()>>,
}

impl Future for BarrierWait {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let Self { barrier, ticket } = self.get_mut();
        barrier.state.poll(cx, |state, waker, effects| {
            let line = &mut state.line;
            match *ticket {
                None if line.len() + 1 >= state.size => {
                    while line.dismiss(effects).is_some() {}
                    return Poll::Ready(BarrierWaitResult { is_leader: true });
                }
                Some(dismissed) if line.is_dismissed(dismissed) => {
                    line.leave(dismissed, effects);
                    *ticket = None;
                    return Poll::Ready(BarrierWaitResult { is_leader: false });
                }
                _ => {}
            }
            if let Some(waker) = waker.take() {
                line.wait(ticket, waker, || (), effects);
            }
            Poll::Pending
        })
    }
}

impl Drop for BarrierWait {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let state = &self.barrier.state;
            state.change(|state, effects| state.line.leave(ticket, effects));
        }
    }
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// True for one of the tasks that continue: the one that arrived last.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}
