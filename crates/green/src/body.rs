//! The body of a green thread: a future whose state machine is a stack.

use crate::current::Resumed;
use crate::overflow;
use crate::record::ThreadRecord;
use crate::stack::GreenStack;
use crate::switch::GreenYielder;
use crate::thread_end;
use corosensei::{Coroutine, CoroutineResult};
use oneloop_core::{Handle, set_between_stacks};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A green thread as its task polls it.
pub(crate) struct Body {
    /// `None` once it has ended.
    coroutine: Option<Coroutine<(), (), (), GreenStack>>,
    record: Rc<ThreadRecord>,
    /// The call into a loop in which the stack last ran; 0 if the stack refers to nothing yet. All
    /// that it refers to existed in that call. The task's allocation has 8 bytes to spare, so this
    /// costs no memory.
    entry: u64,
}

impl Body {
    pub(crate) fn new(
        stack: GreenStack,
        record: Rc<ThreadRecord>,
        borrows: bool,
        function: impl FnOnce() + 'static,
    ) -> Self {
        record.set_stack(stack.range());
        let inside = Rc::clone(&record);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &GreenYielder, ()| {
            let _arrived = Arrived::new();
            inside.switch.yielder.set(Some(NonNull::from(yielder)));
            // Also a function that never runs is dropped on the stack, as its drop may wait or
            // panic. Guarded: a panic past this closure would unwind into the loop with this stack
            // current.
            inside.guarded(|| match inside.has_begun() {
                true => function(),
                false => drop(function),
            });
        });
        Body {
            coroutine: Some(coroutine),
            record,
            // A function that borrows refers to the call that spawned it; another one refers to
            // nothing.
            entry: if borrows { Handle::entry() } else { 0 },
        }
    }

    /// False if values that the stack refers to may be gone: then it never runs again.
    #[inline(always)]
    fn may_run(&mut self) -> bool {
        // The same call is below on the OS stack, so the thread cannot have ended since: one
        // comparison for each resume, and the walk of `thread_end` only once a call.
        let last = mem::replace(&mut self.entry, Handle::entry());
        last == self.entry || may_run_again(last)
    }

    /// Runs the stack until it waits (false) or has ended (true).
    #[inline(always)]
    fn resume(&mut self, waker: &Waker) -> bool {
        let Some(coroutine) = &mut self.coroutine else {
            return true;
        };
        let resumed = Resumed::new(&self.record, self.entry, waker);
        let result = coroutine.resume(());
        drop(resumed);
        matches!(result, CoroutineResult::Return(()))
    }

    /// Leaves the stack where it is, with all its values: a leak of memory is safe, and freeing it
    /// with values on it is not.
    fn leave_behind(&mut self) {
        mem::forget(self.coroutine.take());
        self.record.leave_behind();
    }

    fn end(&mut self) {
        // First, so that a joiner that spawns gets this stack from the pool, while it is in the
        // caches.
        drop(self.coroutine.take());
        self.record.end();
    }
}

/// True unless the OS thread has begun to end since the stack last ran, in that call into a loop.
#[cold]
fn may_run_again(last: u64) -> bool {
    overflow::watch_this_thread();
    if last == 0 || !thread_end::has_begun() {
        return true;
    }
    thread_end::report_left_behind();
    false
}

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.record.has_begun() && self.record.poll_begin(cx).is_pending() {
            return Poll::Pending;
        }
        if !self.may_run() {
            // Ready, although the function has not ended: nothing is left that could be polled.
            self.leave_behind();
            return Poll::Ready(());
        }
        if !self.resume(cx.waker()) {
            return Poll::Pending;
        }
        self.end();
        Poll::Ready(())
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.record, f)
    }
}

impl Drop for Body {
    /// Ends a task that is dropped early: it was canceled before it began, or the loop is dropped.
    /// Its stack unwinds now, and every wait of the drops that run meanwhile fails at once.
    fn drop(&mut self) {
        if self.coroutine.is_none() {
            return;
        }
        if !self.may_run() {
            return self.leave_behind();
        }
        // Also a thread that never began is resumed: its function is dropped on its own stack.
        self.record.close();
        if self.resume(Waker::noop()) {
            self.end();
        } else {
            self.leave_behind(); // a drop waits for a value that cannot come anymore
        }
    }
}

/// Marks the time on a stack from its first frame to its last, for a sampling monitor.
struct Arrived;

impl Arrived {
    fn new() -> Self {
        set_between_stacks(false);
        Arrived
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        set_between_stacks(true);
    }
}
