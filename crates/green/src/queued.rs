//! The body of a green thread that waits for a permit of its pool, without a stack.

use crate::body::Body;
use crate::record::ThreadRecord;
use crate::stack::GreenStack;
use oneloop_core::JoinError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A green thread as its task polls it, from its place in a queue to its end.
///
/// ```text
///   waiting ── its permit is there ──▶ running ──▶ ended
///      │                  └── no memory for a stack ──▶ ended: its result is a panic
///      └── killed, canceled, loop dropped ──▶ ended: its function was dropped on a stack
/// ```
pub(crate) struct QueuedBody<P, F: FnOnce() + 'static> {
    waiting: Option<InLine<P, F>>,
    running: Option<Body>,
}

/// What a thread waits for, and what it begins with.
struct InLine<P, F> {
    permit: P,
    stack_bytes: usize,
    record: Rc<ThreadRecord>,
    function: F,
}

impl<P, F: FnOnce() + 'static> QueuedBody<P, F> {
    pub(crate) fn new(
        permit: P,
        stack_bytes: usize,
        record: Rc<ThreadRecord>,
        function: F,
    ) -> Self {
        let waiting = InLine {
            permit,
            stack_bytes,
            record,
            function,
        };
        QueuedBody {
            waiting: Some(waiting),
            running: None,
        }
    }
}

impl<P, F: FnOnce() + 'static> InLine<P, F> {
    /// The body with its stack. Without memory for one, the thread has ended with `failure`.
    fn body(self, failure: impl FnOnce(io::Error) -> JoinError) -> Option<Body> {
        let InLine {
            permit,
            stack_bytes,
            record,
            function,
        } = self;
        drop(permit); // first: of a thread that never begins, the next in line gets it
        match GreenStack::new(stack_bytes) {
            Ok(stack) => Some(Body::new(stack, record, false, function)),
            Err(error) => {
                // A kill has stored its outcome before.
                if record.slot.outcome().is_none() {
                    record.slot.fail(failure(error));
                }
                record.end();
                record.guarded(|| drop(function)); // foreign code
                None
            }
        }
    }
}

/// As `spawn` panics in its caller.
fn no_memory(error: io::Error) -> JoinError {
    let message = format!("no memory for another green stack: {error}");
    JoinError::Panicked(Box::new(message))
}

impl<P, F> Future for QueuedBody<P, F>
where
    P: Future<Output = ()> + Unpin,
    F: FnOnce() + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let QueuedBody { waiting, running } = self.get_mut();
        if let Some(queued) = waiting {
            ready!(Pin::new(&mut queued.permit).poll(cx));
            *running = waiting.take().and_then(|queued| queued.body(no_memory));
        }
        match running {
            Some(body) => Pin::new(body).poll(cx),
            None => Poll::Ready(()),
        }
    }
}

// Nothing here is pinned: the function is moved onto its stack.
impl<P, F: FnOnce() + 'static> Unpin for QueuedBody<P, F> {}

impl<P, F: FnOnce() + 'static> fmt::Display for QueuedBody<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.running {
            Some(body) => body.fmt(f),
            None => f.write_str("green thread is queued for its pool"),
        }
    }
}

impl<P, F: FnOnce() + 'static> Drop for QueuedBody<P, F> {
    /// Ends a thread that never began. Its function is dropped on a stack, as its drop may wait.
    fn drop(&mut self) {
        if let Some(queued) = self.waiting.take() {
            drop(queued.body(|_| JoinError::Canceled));
        }
    }
}
