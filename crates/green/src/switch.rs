//! The switch: where a green stack and the task that polls it meet.
//!
//! ```text
//!     the loop's stack                 a green stack
//!
//!   run_ready
//!     Body::poll
//!       Coroutine::resume ─────────▶  your code
//!                                       wait(future)
//!                                         Switch::poll ──▶ Ready: no switch at all
//!                                         Switch::suspend
//!       returns (Pending) ◀──────────────  │ (its frames stay where they are)
//!     the next task …                      │
//!     … the waker: Body::poll              │
//!       Coroutine::resume ─────────────▶  returns
//!                                       Switch::poll ──▶ Ready
//!                                     your code
//! ```
//!
//! A green stack never leaves the thread that made it (rule 12), so nothing in here is `Send`.

use crate::cleanup::can_unwind;
use corosensei::Yielder;
use oneloop_core::set_between_stacks;
use std::cell::Cell;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::thread;

pub(crate) type GreenYielder = Yielder<(), ()>;

/// The two ends of a switch. Each is `None` while it does not exist.
#[derive(Default)]
pub(crate) struct Switch {
    /// At the base of the stack, from its first resume on.
    pub(crate) yielder: Cell<Option<NonNull<GreenYielder>>>,
    /// The task's waker, while `Body` resumes the stack.
    pub(crate) waker: Cell<Option<NonNull<Waker>>>,
}

impl Switch {
    /// Polls a future with the waker of this green thread's task.
    #[inline(always)]
    pub(crate) fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = self
            .waker
            .get()
            .expect("a green thread runs only while it is polled");
        // SAFETY: `Body::poll` borrows it for as long as this stack runs, which is now.
        let waker = unsafe { waker.as_ref() };
        future.poll(&mut Context::from_waker(waker))
    }

    /// True if that waker is the one of this green thread's task.
    pub(crate) fn is_polled_with(&self, waker: &Waker) -> bool {
        let own = self.waker.get();
        // SAFETY: as in `poll`: it is set only while the task is polled.
        own.is_some_and(|own| unsafe { own.as_ref() }.will_wake(waker))
    }

    /// Leaves this stack until the task is polled again.
    #[inline(always)]
    pub(crate) fn suspend(&self) {
        let yielder = self
            .yielder
            .get()
            .expect("only code on the stack suspends it");
        // A sampling monitor must not walk the stack while the stack pointer is between the two.
        set_between_stacks(true);
        // SAFETY: it lives at the base of the stack that we are on.
        unsafe { yielder.as_ref() }.suspend(());
        set_between_stacks(false);
    }

    /// True if a payload may unwind that stack, which this code runs on. While the stack unwinds
    /// already, a second unwinding would abort the process.
    pub(crate) fn can_unwind(&self, stack: &Range<usize>) -> bool {
        // Above the yielder are frames of the switch and of the stack that resumed this one.
        let base = |yielder: NonNull<GreenYielder>| yielder.addr().get();
        // `panicking` counts per OS thread: when false, no green stack of it unwinds, and the walk,
        // which takes microseconds, is unnecessary.
        !thread::panicking() || can_unwind(stack.start..self.yielder.get().map_or(stack.end, base))
    }
}
