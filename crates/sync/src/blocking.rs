//! Waiting on a thread without a loop: the thread is parked until a waker unparks it.

use oneloop_core::Handle;
use oneloop_core::concurrency::thread::{self, Thread};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Panics inside a loop, with what a wait there would do.
#[track_caller]
pub(crate) fn refuse_in_loop(why: &str) {
    assert!(Handle::try_current().is_none(), "{why}");
}

/// Blocks this thread, on which no loop runs, until `poll` is ready.
pub(crate) fn park_until<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        // An unpark that came since the poll makes this return at once, so no wake is lost.
        thread::park();
    }
}
