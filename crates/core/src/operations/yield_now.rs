//! Letting the other tasks run first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs every other task that is ready first. The styles' own `yield_now` is this future. Cancel
/// safe.
#[doc(alias("sched_yield", "checkpoint"))]
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        // Queues this task behind all that are ready now.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
