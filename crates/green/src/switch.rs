//! The switch: a task whose state machine is a stack.
//!
//! ```text
//!   run_ready ──▶ Body::poll ──resume──▶ ┌─ green stack ───────────┐
//!                     ▲                  │ your code → wait(future) │
//!                     └──── suspend ◀────│   poll: Pending          │
//!                                        └──────────────────────────┘
//! ```
//!
//! A green stack never leaves the thread that made it (rule 12): nothing in here is `Send`. What runs
//! where is kept in `CURRENT`, which each resume saves and restores.

use crate::cleanup::can_unwind;
use crate::overflow;
use crate::stack::GreenStack;
use crate::state::State;
use crate::thread_end;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use oneloop_core::{Handle, set_between_stacks};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::{Deref, Range};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

type GreenYielder = Yielder<(), ()>;

thread_local! {
    /// The green thread whose stack this code runs on. Without a destructor, so that the handler of a
    /// fault may look at it.
    static CURRENT: Cell<Option<NonNull<State>>> = const { Cell::new(None) };
    /// The call into a loop that resumed the green thread that runs.
    static ENTRY: Cell<u64> = const { Cell::new(0) };
}

/// Where a green thread's stack and its task meet; both are set while the task runs.
#[derive(Default)]
pub(crate) struct Switch {
    yielder: Cell<Option<NonNull<GreenYielder>>>,
    waker: Cell<Option<NonNull<Waker>>>,
}

/// The green thread that runs this code.
pub(crate) fn current() -> Option<Rc<State>> {
    let state = CURRENT.get()?;
    // SAFETY: `Body::poll` set it from the `Rc` that it holds, and takes it back before it returns.
    unsafe { Rc::increment_strong_count(state.as_ptr()) };
    // SAFETY: that pointer came from `Rc::as_ptr`, and the count was just taken for it.
    Some(unsafe { Rc::from_raw(state.as_ptr()) })
}

/// For the handler of a fault: the green thread that runs. Async-signal-safe if `look` is, and looks only
/// at what never changes.
pub(crate) fn with_running(look: impl FnOnce(&State)) {
    if let Some(state) = CURRENT.get() {
        // SAFETY: as in `current`; the fault may have interrupted a change of other fields.
        look(unsafe { state.as_ref() });
    }
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
            .expect("only what runs on the stack suspends it");
        set_between_stacks(true);
        // SAFETY: it lives at the base of the stack that we are on.
        unsafe { yielder.as_ref() }.suspend(());
        set_between_stacks(false);
    }

    /// True if something may be thrown on that stack, which this code runs on: while it unwinds, that
    /// would abort the process.
    pub(crate) fn can_unwind(&self, stack: &Range<usize>) -> bool {
        // What is further up belongs to the switch, and to the stack that resumed this one.
        let base = |yielder: NonNull<GreenYielder>| yielder.addr().get();
        !thread::panicking() || can_unwind(stack.start..self.yielder.get().map_or(stack.end, base))
    }
}

/// The green thread that runs this code, without counting a reference: for the one that waits. It is
/// not kept anywhere else than on that thread's own stack.
pub(crate) struct Waiting {
    state: NonNull<State>,
}

impl Waiting {
    /// None outside of green threads.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        CURRENT.get().map(|state| Waiting { state })
    }
}

impl Deref for Waiting {
    type Target = State;

    #[inline(always)]
    fn deref(&self) -> &State {
        // SAFETY: as in `current`. Whoever has this may leave the stack and come back; `Body` keeps its
        // `Rc` for as long as the stack is there.
        unsafe { self.state.as_ref() }
    }
}

/// True if this code is run by the loop that runs its green thread: not by another one inside.
#[inline]
pub(crate) fn is_on_its_loop() -> bool {
    ENTRY.get() == Handle::entry()
}

/// On a stack for the first time, until it is left for the last time.
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

/// True unless the thread has begun to end since the stack last ran, in that call into a loop.
#[cold]
fn may_run_again(last: u64) -> bool {
    overflow::watch_this_thread();
    if last == 0 || !thread_end::has_begun() {
        return true;
    }
    thread_end::tell();
    false
}

/// What a resume replaces on its thread. Restored by its drop, also when something unwinds through the
/// switch: else code outside would find a green thread that is gone.
struct Resumed<'a> {
    switch: &'a Switch,
    current: Option<NonNull<State>>,
    entry: u64,
}

impl<'a> Resumed<'a> {
    #[inline(always)]
    fn new(state: &'a Rc<State>, entry: u64, waker: &Waker) -> Self {
        let current = NonNull::new(Rc::as_ptr(state).cast_mut());
        state.switch.waker.set(Some(NonNull::from(waker)));
        let resumed = Resumed {
            switch: &state.switch,
            current: CURRENT.replace(current),
            entry: ENTRY.replace(entry),
        };
        set_between_stacks(true);
        resumed
    }
}

impl Drop for Resumed<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        set_between_stacks(false);
        CURRENT.set(self.current);
        ENTRY.set(self.entry);
        self.switch.waker.set(None);
    }
}

/// A green thread as a task's future.
pub(crate) struct Body {
    /// None once it has ended.
    coroutine: Option<Coroutine<(), (), (), GreenStack>>,
    state: Rc<State>,
    /// The call into a loop in which what is on the stack was there: what it refers to was, too. 0 if it
    /// refers to nothing yet. In here it takes no memory: a body has 8 bytes to spare.
    entry: u64,
}

impl Body {
    pub(crate) fn new(
        stack: GreenStack,
        state: Rc<State>,
        borrows: bool,
        function: impl FnOnce() + 'static,
    ) -> Self {
        let inside = Rc::clone(&state);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &GreenYielder, ()| {
            let _arrived = Arrived::new();
            inside.switch.yielder.set(Some(NonNull::from(yielder)));
            // Killed before it began, it is only dropped here: what it holds may wait, or panic. And what
            // its caller left uncaught, a waker's panic, must not leave this stack the current one.
            inside.guarded(|| match inside.has_begun() {
                true => function(),
                false => drop(function),
            });
        });
        Body {
            coroutine: Some(coroutine),
            state,
            entry: if borrows { Handle::entry() } else { 0 },
        }
    }

    /// False if what is on the stack may refer to what is gone: then it never runs again.
    #[inline(always)]
    fn may_run(&mut self) -> bool {
        let last = mem::replace(&mut self.entry, Handle::entry());
        last == self.entry || may_run_again(last)
    }

    /// Runs the stack until it waits (false) or has ended (true).
    #[inline(always)]
    fn resume(&mut self, waker: &Waker) -> bool {
        let Some(coroutine) = &mut self.coroutine else {
            return true;
        };
        let resumed = Resumed::new(&self.state, self.entry, waker);
        let result = coroutine.resume(());
        drop(resumed);
        matches!(result, CoroutineResult::Return(()))
    }

    /// Leaves the stack where it is, with all that is on it: leaking memory is safe, freeing it with
    /// values on it is not.
    fn leave_behind(&mut self) {
        mem::forget(self.coroutine.take());
        self.state.leave_behind();
    }

    fn end(&mut self) {
        drop(self.coroutine.take()); // its stack is free before anybody hears
        self.state.end();
    }
}

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.state.has_begun() && self.state.poll_begin(cx).is_pending() {
            return Poll::Pending;
        }
        if !self.may_run() {
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
        fmt::Display::fmt(&*self.state, f)
    }
}

impl Drop for Body {
    /// A task that is dropped before its end: it was killed before it began, or the loop is dropped. Its
    /// stack unwinds now, and each wait of what runs meanwhile fails at once.
    fn drop(&mut self) {
        if self.coroutine.is_none() {
            return;
        }
        if !self.may_run() {
            return self.leave_behind();
        }
        self.state.close();
        if self.resume(Waker::noop()) {
            self.end();
        } else {
            self.leave_behind(); // a cleanup waits for what will not come
        }
    }
}
