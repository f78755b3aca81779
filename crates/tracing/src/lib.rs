#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Spans for tasks and events for their wakers, with tokio's names, for tokio-console and every
//! other subscriber of `tracing`.
//!
//! [`trace_tasks`] begins it for one loop. Each task that is spawned there later, in any style, has
//! a span, which is entered for each of its runs and closed at its end:
//!
//! | span or event | target | fields |
//! |---|---|---|
//! | span `runtime.spawn` | `tokio::task` | `kind` (`local`), `task.name`, `task.id`, `size.bytes`, `loc.file`, `loc.line`, `loc.col` |
//! | event | `tokio::task::waker` | `op` (`waker.wake`, `waker.wake_by_ref`, `waker.clone`, `waker.drop`), `task.id`: the span's |
//!
//! All have the level `TRACE`. A wake within a run of its own task is within its span. The wakers
//! that a task has given away are counted at the end of each run, and the difference is reported as
//! clones and drops: tokio-console warns of a task that waits and has none.
//!
//! **What it costs.** A task that no subscriber has asked for, when it was spawned, costs nothing
//! more in its runs and wakes. So a program may always call `trace_tasks`, and install a subscriber
//! when it is to be watched.
//!
//! ```
//! use oneloop::aio::{spawn, yield_now};
//! use oneloop::EventLoop;
//!
//! let mut event_loop = EventLoop::new()?;
//! oneloop::tracing::trace_tasks(&event_loop.handle());
//! // A program installs its subscriber here, such as `console_subscriber::init()`.
//! event_loop.block_on(async {
//!     spawn(yield_now()).await.unwrap(); // this task has a span
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The future of `block_on` is no task, and has no span. `oneloop::green::run_on` and
//! `oneloop::callback::run_on` take such a loop. Callbacks of one kind run in one task.

use oneloop_core::{Handle, ObservedTask, ObservedWaker, SpawnedTask, TaskObserver};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::subscriber::NoSubscriber;
use tracing::{Span, trace, trace_span};

/// Emits a span for each task that is spawned on this loop from now on, and events for its wakers,
/// if the thread's subscriber asks for them. It replaces another observer of
/// [`Handle::observe_tasks`].
///
/// ```
/// let event_loop = oneloop::EventLoop::new()?;
/// oneloop::tracing::trace_tasks(&event_loop.handle());
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("console_subscriber", "tokio-console", "instrument"))]
pub fn trace_tasks(handle: &Handle) {
    handle.observe_tasks(Some(Spans));
}

struct Spans;

impl TaskObserver for Spans {
    fn spawned(&self, task: &SpawnedTask<'_>) -> Option<Box<dyn ObservedTask>> {
        let at = task.spawned_at;
        // A root: a span that has children closes after them, and a task may outlive its spawner.
        let span = trace_span!(
            target: "tokio::task",
            parent: None,
            "runtime.spawn",
            kind = "local",
            task.name = task.what().as_str(),
            task.id = task.key.to_u64(),
            size.bytes = task.future_bytes() as u64,
            loc.file = at.file(),
            loc.line = at.line(),
            loc.col = at.column(),
        );
        // A thread without a subscriber gets such spans, too, once another thread's asks for them.
        let (id, is_seen) =
            span.with_subscriber(|(id, dispatch)| (id.into_u64(), !dispatch.is::<NoSubscriber>()))?;
        if !is_seen {
            return None;
        }
        Some(Box::new(TracedTask {
            span,
            wakers: Wakers {
                task: id,
                reported: Arc::default(),
            },
        }))
    }
}

struct TracedTask {
    span: Span,
    wakers: Wakers,
}

/// The wakers of a task that other code holds.
#[derive(Clone)]
struct Wakers {
    /// The number of the task's span.
    task: u64,
    /// How many clones were reported, less the drops.
    reported: Arc<AtomicUsize>,
}

impl ObservedTask for TracedTask {
    fn run_begins(&mut self) {
        // Not `Span::enter`, whose guard would borrow the span over the run.
        self.span
            .with_subscriber(|(id, dispatch)| dispatch.enter(id));
    }

    fn run_ends(&mut self, wakers: usize) {
        self.span
            .with_subscriber(|(id, dispatch)| dispatch.exit(id));
        let Wakers { task, reported } = &self.wakers;
        let before = reported.swap(wakers, Ordering::Relaxed);
        for _ in before..wakers {
            trace!(target: "tokio::task::waker", op = "waker.clone", task.id = *task);
        }
        for _ in wakers..before {
            trace!(target: "tokio::task::waker", op = "waker.drop", task.id = *task);
        }
    }

    fn waker(&self) -> Box<dyn ObservedWaker> {
        Box::new(self.wakers.clone())
    }
}

impl ObservedWaker for Wakers {
    fn wakes(&self, by_value: bool) {
        // A wake by value counts as a drop, too, which only a clone that was reported may have.
        let less = |count: usize| count.checked_sub(1);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        if by_value && self.reported.fetch_update(set, get, less).is_ok() {
            trace!(target: "tokio::task::waker", op = "waker.wake", task.id = self.task);
        } else {
            trace!(target: "tokio::task::waker", op = "waker.wake_by_ref", task.id = self.task);
        }
    }
}
