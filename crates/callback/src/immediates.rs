//! `setImmediate`: what runs in the check phase, just after the poll.
//!
//! The queue is a snapshot: an immediate made by an immediate waits for the next turn. While a
//! referenced one waits, the poll does not sleep. After a throw the rest of the snapshot runs at once,
//! as Node's does, before ticks get their turn.

use crate::continuation::{Once, once};
use crate::queues::Bell;
use crate::runtime::{Left, Runtime, current, try_current};
use crate::tables::references;
use crate::thrown::Outcome;
use oneloop_core::{Phase, PhaseReached};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

struct State {
    callback: RefCell<Option<Once>>,
    referenced: Cell<bool>,
}

/// A callback that waits for the check phase: see [`set_immediate`].
#[derive(Clone)]
pub struct Immediate {
    state: Rc<State>,
}

impl fmt::Debug for Immediate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Immediate(waits: {})",
            self.state.callback.borrow().is_some()
        )
    }
}

references!(Immediate, "the immediate waits");

impl Immediate {
    /// True while it keeps the program alive.
    pub fn has_ref(&self) -> bool {
        self.state.referenced.get()
    }

    fn set_referenced(&self, referenced: bool) {
        self.state.referenced.set(referenced);
        if let Some(runtime) = try_current() {
            runtime.immediates.bell.ring();
        }
    }
}

#[derive(Default)]
pub(crate) struct Immediates {
    queue: RefCell<VecDeque<Rc<State>>>,
    /// What is left of the snapshot that runs.
    outstanding: RefCell<VecDeque<Rc<State>>>,
    /// Ticks were left over: the next check phase is to run them.
    wanted: Cell<bool>,
    bell: Bell,
}

impl Immediates {
    /// Has the next check phase come soon, for what a throw left behind.
    pub(crate) fn want_check(&self) {
        self.wanted.set(true);
        self.bell.ring();
    }

    /// An immediate that does nothing: as in Node, each error that was heard brings one, so that the
    /// next check phase runs the ticks that the error left, one throwing tick after another.
    pub(crate) fn push_nothing(&self) {
        self.push(Rc::new(State {
            callback: RefCell::new(Some(Box::new(|| Ok(())))),
            referenced: Cell::new(true),
        }));
    }

    fn push(&self, state: Rc<State>) {
        self.queue.borrow_mut().push_back(state);
        self.bell.ring();
    }

    /// Forgets all immediates. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let forgotten = (self.queue.take(), self.outstanding.take());
        !forgotten.0.is_empty() || !forgotten.1.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty() && !self.wanted.get()
    }

    fn is_referenced(&self) -> bool {
        let waits = |state: &Rc<State>| state.referenced.get() && state.callback.borrow().is_some();
        self.wanted.get() || self.queue.borrow().iter().any(waits)
    }

    fn next(&self) -> Option<Once> {
        loop {
            let state = self.outstanding.borrow_mut().pop_front()?;
            if let Some(callback) = state.callback.take() {
                return Some(callback);
            }
        }
    }
}

impl Runtime {
    pub(crate) async fn drive_immediates(self: Rc<Self>) {
        let mut wait: Option<PhaseReached> = None;
        poll_fn(|cx| {
            loop {
                self.immediates.bell.wait(cx);
                if self.immediates.is_empty() {
                    wait = None;
                    return Poll::<()>::Pending;
                }
                // While it is referenced, the poll does not sleep.
                let check = wait.get_or_insert_with(|| self.handle.phase(Phase::Check));
                check.set_referenced(self.immediates.is_referenced());
                if Pin::new(check).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                wait = None;
                self.run_check();
            }
        })
        .await;
    }

    /// Node's `CheckImmediate`.
    fn run_check(self: &Rc<Self>) {
        if self.immediates.wanted.replace(false) {
            self.scope(|| Ok(()));
        }
        let snapshot = self.immediates.queue.take();
        self.immediates.outstanding.replace(snapshot);
        while !self.immediates.outstanding.borrow().is_empty() && !self.process.is_ending() {
            self.scope(|| self.process_immediates());
        }
    }

    /// Node's `processImmediate`: ticks run between two immediates, and after the last one by the
    /// end of the scope.
    fn process_immediates(self: &Rc<Self>) -> Result<(), Left> {
        let mut first = true;
        while let Some(callback) = {
            if !first {
                self.drain()?;
            }
            self.immediates.next()
        } {
            first = false;
            self.call(callback)?;
        }
        Ok(())
    }
}

/// Calls a function in the check phase, after what the poll brings.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_immediate<O: Outcome>(f: impl FnOnce() -> O + 'static) -> Immediate {
    let state = Rc::new(State {
        callback: RefCell::new(Some(once(f))),
        referenced: Cell::new(true),
    });
    current().immediates.push(Rc::clone(&state));
    Immediate { state }
}

/// Has the immediate not run, if it has not yet.
pub fn clear_immediate(immediate: &Immediate) {
    let callback = immediate.state.callback.take();
    drop(callback);
}
