//! A scope: one callback of the loop, and then all ticks and microtasks.
//!
//! It is Node's `InternalCallbackScope`. Everything that the loop calls runs in one:
//!
//! ```text
//!                 the loop calls back
//!                         │
//!                     callback ───── throws ─────▶ handler of uncaught errors ─▶ the loop;
//!                         │ returns                ticks and microtasks wait for the next scope,
//!        ┌───────────────▶│                        at the latest in the next check phase
//!        │       all ticks, one by one ─── throws ──▶ likewise
//!        │                │
//!        │       all microtasks, one by one ── throws ──▶ the handler, then the next microtask
//!        │                │
//!        ├── new ticks? ──┤
//!        │                │ none
//!        └── rejected promises without a waiter? ──▶ the handler for each
//!                         │ none
//!                      the loop
//! ```
//!
//! Scopes nest, as a callback may run the loop's own code; only the outermost drains the queues.

use super::current::{Runtime, current};
use super::microtask_queue::Microtask;
use super::process::Origin;
use super::tick::{Step, Tick};
use crate::continuation::once;
use crate::thrown::{IntoResult, Thrown};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A callback threw, and the error was handled: the pass that called it ends here. A later pass
/// continues.
#[derive(Debug)]
pub(crate) struct CutShort;

/// Calls a function after the callback that runs now, before the loop continues:
/// `process.nextTick`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn next_tick<O: IntoResult>(f: impl FnOnce() -> O + 'static) {
    current().push_tick(Tick::Call(once(f)));
}

impl Runtime {
    /// Calls a function before the loop continues.
    pub(crate) fn next_tick(&self, f: impl FnOnce() -> Result<(), Thrown> + 'static) {
        self.push_tick(Tick::Call(Box::new(f)));
    }

    /// Calls a function with a clone of a value before the loop continues.
    pub(crate) fn next_call<T: Clone + 'static>(
        &self,
        value: &T,
        f: impl FnOnce(&T) -> Result<(), Thrown> + 'static,
    ) {
        let value = value.clone();
        self.next_tick(move || f(&value));
    }

    /// Runs a step of a value before the loop continues, without an allocation.
    pub(crate) fn next_step(&self, value: Rc<dyn Any>, step: Step) {
        self.push_tick(Tick::Step(value, step));
    }

    /// Outside of a scope, a driver opens one for the tick. Once 'exit' is emitted, no tick runs,
    /// as in Node.
    fn push_tick(&self, tick: Tick) {
        if self.process.is_exiting() {
            return; // `nextTick` checks `process._exiting`
        }
        self.ticks.borrow_mut().push_back(tick);
        if !self.is_in_scope() {
            self.microtasks.want_scope();
        }
    }

    /// Calls a callback as the loop does: Node's `MakeCallback`.
    pub(crate) fn make_callback(self: &Rc<Self>, f: impl FnOnce() -> Result<(), Thrown>) {
        self.scope(|| self.call(f));
    }

    /// Runs code that the loop calls, and then, unless it threw, all ticks and microtasks.
    pub(crate) fn scope(self: &Rc<Self>, body: impl FnOnce() -> Result<(), CutShort>) {
        if self.process.is_stopped() {
            return;
        }
        let result = self.deeper(body);
        if self.is_drained() && !self.microtasks.has_rejected() {
            return; // the case after most callbacks
        }
        // A nested scope leaves the queues to the outermost one (`async_callback_scope_depth` in
        // Node).
        if result.is_ok() && self.depth.get() == 0 {
            // A tick that throws leaves the others to the next scope.
            let _ = self.drain();
        }
        if !self.is_drained() {
            // Nothing else might call back soon, and the poll would sleep over them.
            self.immediates.want_check();
        }
    }

    /// True inside of a scope: its end runs what is queued now.
    pub(crate) fn is_in_scope(&self) -> bool {
        self.depth.get() > 0
    }

    fn is_drained(&self) -> bool {
        self.ticks.borrow().is_empty() && self.microtasks.is_empty()
    }

    /// Node's `processTicksAndRejections`: all ticks, then all microtasks, until there are none.
    pub(crate) fn drain(self: &Rc<Self>) -> Result<(), CutShort> {
        self.deeper(|| self.drain_inside())
    }

    /// Calls a function one scope deeper.
    fn deeper<T>(&self, inside: impl FnOnce() -> T) -> T {
        struct Deeper<'a>(&'a Cell<usize>);
        impl Drop for Deeper<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        // By a guard, as a callback may unwind: a wrong depth would keep the queues from draining.
        self.depth.set(self.depth.get() + 1);
        let _deeper = Deeper(&self.depth);
        inside()
    }

    fn drain_inside(self: &Rc<Self>) -> Result<(), CutShort> {
        loop {
            while let Some(tick) = self.pop_tick() {
                self.call(|| tick.run())?;
            }
            self.run_microtasks()?;
            if !self.is_drained() {
                continue;
            }
            // Only now: any microtask or tick before might have awaited a rejected promise.
            let rejected = self.microtasks.take_rejected();
            if rejected.is_empty() {
                return Ok(());
            }
            for thrown in rejected {
                if !self.handle_thrown(thrown, Origin::UnhandledRejection) {
                    return Err(CutShort);
                }
            }
        }
    }

    fn pop_tick(&self) -> Option<Tick> {
        self.ticks.borrow_mut().pop_front()
    }

    /// Runs microtasks until there are none. One that throws does not keep the others from running:
    /// in V8 each microtask reports its exception by itself.
    fn run_microtasks(self: &Rc<Self>) -> Result<(), CutShort> {
        while let Some(microtask) = self.microtasks.next() {
            let run = match microtask {
                Microtask::Poll(key) => self.call(|| {
                    self.microtasks.poll(key);
                    Ok(())
                }),
                Microtask::Call(callback) => self.call(callback),
            };
            if run.is_err() && self.process.is_stopped() {
                return Err(CutShort);
            }
        }
        Ok(())
    }

    /// Calls a callback. What it throws goes to the handler of uncaught errors, or ends the
    /// program.
    pub(crate) fn call(
        self: &Rc<Self>,
        f: impl FnOnce() -> Result<(), Thrown>,
    ) -> Result<(), CutShort> {
        // Unwind safe as JavaScript is: a throw leaves the program's values as they are at that
        // moment.
        let thrown = match catch_unwind(AssertUnwindSafe(f)) {
            Ok(result) => result.err(),
            Err(payload) => self.thrown_by(payload),
        };
        match thrown {
            Some(thrown) => {
                self.handle_thrown(thrown, Origin::UncaughtException);
                Err(CutShort)
            }
            None if self.process.is_stopped() => Err(CutShort),
            None => Ok(()),
        }
    }
}
